"""From the settings to who is told how runs go; a library is imported only when somebody is told through it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from trainer.settings import TrainerSettings
from trainer.status.ports import DestinationError, Destinations, RunTelemetry, SilentTelemetry, StatusDestination


def destinations_of(settings: TrainerSettings) -> Destinations:
    """Returns what opens each destination, by name."""
    found: dict[str, Callable[[], StatusDestination]] = {}
    if settings.trainer_mlflow_enabled:
        found["mlflow"] = lambda: _mlflow(settings)
    if settings.trainer_snowflake_account:
        found["snowflake"] = lambda: _snowflake(settings)
    return found


def telemetry_of(settings: TrainerSettings) -> RunTelemetry:
    """Returns the Datadog agent, if there is one."""
    if not settings.dogstatsd_address:
        return SilentTelemetry()
    from trainer.adapters.telemetry_dogstatsd import DogStatsdRunTelemetry  # noqa: PLC0415

    return DogStatsdRunTelemetry(settings.dogstatsd_address, settings.datadog_tags("feed-trainer"))


def _mlflow(settings: TrainerSettings) -> StatusDestination:
    with _installed("mlflow", "FEED_TRAINER_MLFLOW_ENABLED=false"):
        from trainer.adapters.status_mlflow import MlflowStatuses, RunFiles  # noqa: PLC0415

    own_store = not settings.trainer_mlflow_uri
    artifacts_dir = settings.mlflow_dir / "artifacts" if own_store else None
    return MlflowStatuses(settings.mlflow_uri, RunFiles(settings.models_dir, settings.reports_dir, artifacts_dir))


def _snowflake(settings: TrainerSettings) -> StatusDestination:
    with _installed("snowflake", "an empty FEED_TRAINER_SNOWFLAKE_ACCOUNT"):
        from trainer.adapters.status_snowflake import SnowflakeStatuses  # noqa: PLC0415

    return SnowflakeStatuses(settings.snowflake_access)


@contextmanager
def _installed(extra: str, off: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise DestinationError(f"{error}: install the extra {extra}, or set {off}") from error
