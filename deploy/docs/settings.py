"""The list of all settings; and whether documents name none that is not there."""

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from deploy.processes import SETTINGS
from deploy.retention_settings import RetentionSettings
from runtime.settings import PREFIX, CommonSettings

Settings = type[CommonSettings]

_HEAD: Final = """# All settings

Made by `make docs` out of the classes that read them. Settings are environment variables; a wrong value or an unknown `FEED_*` name stops a process, with all errors at once. `feed PROCESS --print-config` shows what a process has been given, secrets hidden.
"""  # noqa: E501  # a paragraph of Markdown is one line
_COLUMNS: Final = "| setting | default | accepted | meaning |\n|---|---|---|---|\n"
_UNITS: Final = {
    "ms": "ms",
    "s": "s",
    "minutes": "minutes",
    "min": "minutes",
    "h": "hours",
    "hours": "hours",
    "days": "days",
    "mb": "MB",
    "bytes": "bytes",
}
_NAME: Final = re.compile(r"(?<![A-Z_])FEED_[A-Z0-9_]*[A-Z0-9](?![A-Z0-9_*])")
# What `docker compose` puts into other settings.
_OTHERS: Final = frozenset({"FEED_DATABASE_PASSWORD", "FEED_GRAFANA_PASSWORD"})


def sections() -> dict[str, Settings]:
    """Returns the settings of each process by the heading that they stand under; common ones first."""
    named = {name: getattr(import_module(module), settings) for name, (module, settings) in SETTINGS.items()}
    return {"Every process": CommonSettings, **named, "feed db prune": RetentionSettings}


def page(shown: Mapping[str, Settings]) -> str:
    """Returns the list of all settings, as a document."""
    return "\n".join([_HEAD, *(f"## {name}\n\n{_COLUMNS}{''.join(_lines(cls))}" for name, cls in shown.items())])


def wrong(shown: Mapping[str, Settings], pages: Mapping[Path, str]) -> Iterator[str]:
    """Yields which settings say nothing of themselves, and what documents name that is no setting."""
    for cls in shown.values():
        yield from (f"{_called(name)} has no description" for name, field in _own(cls) if not field.description)
    known = {_called(name) for cls in shown.values() for name in cls.model_fields} | _OTHERS
    for path, text in pages.items():
        for name in sorted(set(_NAME.findall(text)) - known):
            yield f"{path}: there is no setting {name}"


def _own(cls: Settings) -> Iterable[tuple[str, FieldInfo]]:
    common = {} if cls is CommonSettings else CommonSettings.model_fields
    return [(name, field) for name, field in cls.model_fields.items() if name not in common]


def _lines(cls: Settings) -> Iterator[str]:
    schema = cls.model_json_schema()
    for name, field in _own(cls):
        accepted = _accepted(name, _resolved(schema["properties"][name], schema))
        meaning = (field.description or "").replace("|", r"\|")
        yield f"| `{_called(name)}` | {_default(field)} | {accepted} | {meaning} |\n"


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined or value is None or str(value) == "":
        return "empty"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{value.value if isinstance(value, Enum) else value}`"


def _accepted(name: str, schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" if value else "empty" for value in schema["enum"])
    kind = schema.get("type")
    if kind == "boolean":
        return "`true`, `false`"
    if kind in {"integer", "number"}:
        return _range(name, schema)
    return "a path" if schema.get("format") == "path" else "a secret" if schema.get("writeOnly") else "text"


def _range(name: str, schema: Mapping[str, Any]) -> str:
    above, least, most = (schema.get(key) for key in ("exclusiveMinimum", "minimum", "maximum"))
    unit = _UNITS.get(name.rpartition("_")[2], "")
    low = f"above {_number(above)}" if above is not None else _number(least) if least is not None else "any"
    high = f" to {_number(most)}" if most is not None else " or more"
    return f"{low}{high} {unit}".strip()


def _number(value: float) -> str:
    return f"{value:,.6g}" if isinstance(value, float) else f"{value:,}"


def _resolved(schema: Mapping[str, Any], whole: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follows a reference to a named type, and takes of a type that may be left out what it is."""
    if "$ref" in schema:
        return _resolved(whole["$defs"][schema["$ref"].rpartition("/")[2]], whole)
    if "anyOf" in schema:
        return _resolved(next(each for each in schema["anyOf"] if each.get("type") != "null"), whole)
    return schema


def _called(name: str) -> str:
    return f"{PREFIX}{name.upper()}"
