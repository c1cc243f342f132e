"""Collects what is wrong with a script, so that one reading finds it all."""

import difflib
from collections.abc import Sequence
from typing import Any, Final, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from fakes.script.entries import Table
from runtime.errors import Violation

TableT = TypeVar("TableT", bound=Table)

_SHOWN_CHARS: Final = 60
# Above it, a typing error; at difflib's own 0.6, "half" for "health".
_NEAR: Final = 0.75


class ScriptError(Exception):
    """A script that cannot be played: its author's fault; `violations` lists every error by field."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__("\n".join(f"{each.field}: {each.reason}" for each in violations))
        self.violations = tuple(violations)


class Problems:
    """What was found so far."""

    def __init__(self) -> None:
        self._found: list[Violation] = []

    def say(self, field: str, reason: str) -> None:
        """Notes a problem."""
        self._found.append(Violation(field, reason))

    def read(self, kind: type[TableT], given: Any, path: str) -> TableT | None:
        """Reads one table; None when it is wrong, and then that is noted."""
        if not isinstance(given, dict):
            self.say(path, f"must be a table, not {_shown(given)}")
            return None
        try:
            return kind.model_validate(given)
        except ValidationError as error:
            told: dict[str, str] = {}
            for detail in error.errors():  # a field of several types has an error for each of them
                told.setdefault(*_told(kind, detail))
            for field, reason in told.items():
                self.say(f"{path}.{field}" if path else field, reason)
            return None

    def end(self) -> None:
        """Raises ScriptError when there was a problem."""
        if self._found:
            raise ScriptError(self._found)


def _told(kind: type[Table], detail: ErrorDetails) -> tuple[str, str]:
    field = str(detail["loc"][0])
    if detail["type"] == "extra_forbidden":
        near = difflib.get_close_matches(field, kind.model_fields, n=1, cutoff=_NEAR)
        hint = f"did you mean {near[0]}?" if near else f"known ones: {', '.join(kind.model_fields)}"
        return field, f"unknown field; {hint}"
    accepted = kind.model_fields[field].description or ""
    return field, f"is missing: {accepted}" if detail["type"] == "missing" else f"{accepted}, not {_input(detail)}"


def _input(detail: ErrorDetails) -> str:
    return _shown(detail["input"])


def _shown(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"
