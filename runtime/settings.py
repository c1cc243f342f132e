"""Settings from `FEED_*` environment variables: typed, frozen, and all errors at once."""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from runtime import kafka_settings
from runtime.access import settings as auth_settings
from runtime.access.settings import AuthSettings
from runtime.kafka_settings import KafkaSettings
from runtime.limits.settings import LimitSettings
from runtime.tls import settings as tls_settings
from runtime.tls.settings import TlsSettings

PREFIX = "FEED_"

# Every process reads the same environment, so a name with another process's prefix is that process's to judge.
PROCESSES = ("bridge", "scorer", "interactions", "sink", "insights", "trainer", "retention")

# What stands for a secret.
HIDDEN: Final = "(hidden)"
_MAY_HOLD_SECRETS: Final = frozenset("@?")

_TAG_VALUE = r"^[A-Za-z0-9_.:/-]{0,128}$"

# Whoever deploys by Datadog's conventions has set them already.
_UNIFIED: Final = {"env": "DD_ENV", "service": "DD_SERVICE", "version": "DD_VERSION"}

SettingsT = TypeVar("SettingsT", bound="CommonSettings")


class SettingsError(Exception):
    """The environment is wrong; the text lists every error. The operator mends it and starts again."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class CommonSettings(KafkaSettings, AuthSettings, LimitSettings, TlsSettings):
    """What every process knows. A process adds its own as `<process>_<name>`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", validate_default=True)

    data_dir: Path = Field(Path("var"), description="Where journal, models, keys and the SQLite database live.")
    database_url: str = Field(
        "",
        pattern=r"^$|^postgresql://|^sqlite:///",
        description="postgresql://… or sqlite:///…; empty: SQLite in the data directory.",
    )
    scorer_targets: str = Field(
        "127.0.0.1:50052",
        pattern=r"^[^,\s]+:\d+(,[^,\s]+:\d+)*$",
        description="host:port,… of the scorers, those that may come later too.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="The least that is logged.")
    drain_s: float = Field(10.0, ge=0, le=300, description="Longest wait for running requests at shutdown, seconds.")
    drain_delay_ms: int = Field(
        1_000, ge=0, le=60_000, description="Of it, how long new requests are still answered while health says no."
    )

    dogstatsd_address: str = Field(
        "",
        pattern=r"^$|^/\S+$|^[^\s/]+:\d{1,5}$",
        description="host:port or /path/of/socket of a Datadog agent; empty: none is told.",
    )
    env: str = Field("", pattern=_TAG_VALUE, description="Datadog's tag env, such as prod; empty: DD_ENV, or not set.")
    service: str = Field(
        "", pattern=_TAG_VALUE, description="Datadog's tag service; empty: DD_SERVICE, or feed- and the process."
    )
    version: str = Field("", pattern=_TAG_VALUE, description="Datadog's tag version; empty: DD_VERSION, or not set.")

    traces_endpoint: str = Field(
        "",
        pattern=r"^$|^https?://[^\s/]+$",
        description="http(s)://host:port of an OpenTelemetry collector (OTLP over gRPC); empty: no traces.",
    )
    traces_ratio: float = Field(0.01, ge=0, le=1, description="Share of the traces that are kept whatever happens.")
    traces_slow_ms: int = Field(
        100, ge=1, le=60_000, description="A request that takes longer is kept, as are fallbacks and failures."
    )

    @property
    def effective_database_url(self) -> str:
        """URL of the database, the embedded one when none is set."""
        return self.database_url or f"sqlite:///{self.data_dir / 'feed.db'}"

    @property
    def database_system(self) -> str:
        """What the database is, by OpenTelemetry's names."""
        return self.effective_database_url.partition(":")[0]

    @property
    def api_keys_path(self) -> Path:
        """Where the API keys of services are."""
        given = self.auth_api_keys_file
        return Path(given) if given else self.data_dir / "keys" / "api_keys.json"

    @property
    def session_key_path(self) -> Path:
        """Where the secrets are that sign who has signed in to the page."""
        return self.data_dir / "keys" / "session.key"

    @property
    def scorer_target_list(self) -> tuple[str, ...]:
        """Targets of the scorers, in order."""
        return tuple(self.scorer_targets.split(","))

    def datadog_tags(self, service: str) -> list[str]:
        """Returns Datadog's unified service tags."""
        named = {"env": self.env, "service": self.service or service, "version": self.version}
        return [f"{name}:{value}" for name, value in named.items() if value]

    def trace_resource(self, service: str) -> dict[str, str]:
        """Returns the same in OpenTelemetry's words."""
        named = {
            "deployment.environment.name": self.env,
            "service.name": self.service or service,
            "service.version": self.version,
        }
        return {name: value for name, value in named.items() if value}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Reads only what `load` hands over: a settings object never looks at the environment by itself."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)


def load(cls: type[SettingsT], environ: Mapping[str, str]) -> SettingsT:
    """Reads the settings of a process.

    Args:
        cls: The settings class of the process.
        environ: The environment; only `FEED_*` names are read, and Datadog's for the tags of a service.

    Raises:
        SettingsError: With every unknown name and every wrong value.
    """
    given = {name: value for name, value in environ.items() if name.startswith(PREFIX)}
    known = {PREFIX + field.upper(): field for field in cls.model_fields}
    problems = [_unknown(name, known) for name in given if name not in known and not _is_anothers(name, cls)]
    unified = {field: environ[name] for field, name in _UNIFIED.items() if environ.get(name)}
    values = unified | {field: given[name] for name, field in known.items() if name in given}
    problems += [*kafka_settings.contradictions(values), *auth_settings.contradictions(values)]
    problems += tls_settings.contradictions(values)
    try:
        settings = cls(**values)  # type: ignore[arg-type]
    except ValidationError as error:
        raise SettingsError([*problems, *(_wrong(cls, detail) for detail in error.errors())]) from error
    if problems:
        raise SettingsError(problems)
    return settings


def describe(settings: CommonSettings) -> list[str]:
    """Returns the effective settings as `NAME=value` lines, secrets hidden."""
    return [f"{PREFIX}{name.upper()}={_shown(value)}" for name, value in settings]


def _shown(value: object) -> object:
    """Returns a value as it may be shown: of a URL neither who logs in, nor its query, which may say so, too."""
    if not isinstance(value, str) or not _MAY_HOLD_SECRETS.intersection(value):
        return value
    scheme, separator, rest = value.partition("://")
    if not separator:
        return HIDDEN if "@" in value else value
    before, at, place = rest.rpartition("@")
    address, query, _ = (place if at else rest).partition("?")
    return f"{scheme}://{f'{HIDDEN}@' if before else ''}{address}{f'?{HIDDEN}' if query else ''}"


def _is_anothers(name: str, cls: type[CommonSettings]) -> bool:
    own_fields = cls.model_fields.keys() - CommonSettings.model_fields.keys()
    others = [process for process in PROCESSES if not any(field.startswith(f"{process}_") for field in own_fields)]
    return any(name.startswith(f"{PREFIX}{process.upper()}_") for process in others)


def _unknown(name: str, known: Mapping[str, str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"{name}: unknown setting.{hint}"


def _wrong(cls: type[CommonSettings], detail: ErrorDetails) -> str:
    field = str(detail["loc"][0]) if detail["loc"] else "?"
    secret = cls.model_fields[field].annotation is SecretStr if field in cls.model_fields else True
    value = HIDDEN if secret else repr(_shown(detail["input"]))
    return f"{PREFIX}{field.upper()}={value}: {detail['msg']}{_accepted(cls, field)}"


def _accepted(cls: type[CommonSettings], field: str) -> str:
    schema = cls.model_json_schema()["properties"].get(field, {})
    if "minimum" in schema and "maximum" in schema:
        return f" (accepted: {schema['minimum']} to {schema['maximum']})"
    return f" ({schema['description']})" if "description" in schema else ""
