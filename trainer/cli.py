"""`feed trainer …`: the nightly job, its parts, and which model serves."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Annotated, NoReturn, TypeVar

import typer
from rich.console import Console

from runtime import logs, process
from runtime.exit_codes import EXIT_WRONG_SETTINGS
from runtime.lock_file import AlreadyRunningError
from runtime.model_bundle import BundleError
from runtime.settings import SettingsError, load
from runtime.signing import KeyFileError
from storage.database import UnreachableDatabaseError, upgrade
from storage.trainings import TrainingStatus
from trainer.adapters.parquet_files import ExportError
from trainer.adapters.run_subprocess import EXIT_FAILED, EXIT_REFUSED
from trainer.adapters.spark import SparkUnavailableError
from trainer.app import build, bundle_store, popularity_count, progress_for, training
from trainer.comparing import NotComparableError, compare_models
from trainer.quality_report import quality_lines
from trainer.report.terminal import comparison_text
from trainer.service import Result, Training
from trainer.settings import TrainerSettings

app = typer.Typer(
    help="Trains the ranking model and decides which one serves.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

T = TypeVar("T")

# What the operator can mend; anything else is a bug and shows its trace.
_EXPECTED = (
    UnreachableDatabaseError,
    AlreadyRunningError,
    BundleError,
    ExportError,
    KeyFileError,
    NotComparableError,
    SparkUnavailableError,
)


@app.command()
def run() -> None:
    """Run the whole nightly job once: export, fit, evaluate, gate, publish, promote, register."""
    _report(_with_training(Training.run))


@app.command()
def fit() -> None:
    """The same without promoting: the model is published, `promote` makes it serve."""
    _report(_with_training(lambda job: job.run(promote=False)))


@app.command()
def export(
    since: Annotated[str, typer.Option(help="First day, YYYY-MM-DD, UTC; default: the oldest.")] = "",
    until: Annotated[str, typer.Option(help="Last day, YYYY-MM-DD, UTC; default: the newest.")] = "",
) -> None:
    """Export the days that changed as parquet, and show what is good and bad about them."""
    first, last = _day(since, "--since"), _day(until, "--until")
    if first and last and first > last:
        raise typer.BadParameter(f"must not be after --until {until}", param_hint="--since")

    def work(job: Training) -> tuple[int, list[str]]:
        exported = job.export_days(first, last)
        return exported, quality_lines(job.export.manifest().qualities(), job.now().date())

    exported, lines = _with_training(work)
    for line in lines:
        typer.echo(line)
    typer.echo(f"days exported: {exported}")


@app.command()
def evaluate() -> None:
    """Export, fit on the past and measure on the last days; nothing is published, but a report is written."""
    refusal = _with_training(Training.measure)
    if refusal:
        _fail(f"refused: {refusal}", EXIT_REFUSED)


@app.command()
def popularity() -> None:
    """Count what is watched now; the model that serves adds it to its scores at once."""
    with _settings() as settings, popularity_count(settings) as count:
        counted = count.refresh()
    typer.echo(f"counted until: {counted.counted_until:%Y-%m-%d %H:%M:%S} UTC" if counted else "nothing new")


@app.command()
def compare(
    first: Annotated[str, typer.Argument(help="Version of a model, or `live`.")],
    second: Annotated[str, typer.Argument(help="Version of another one, or `live`.")],
) -> None:
    """Hold two models against each other: what each reached, and whether one leads beyond noise."""
    typer.echo(comparison_text(_with_training(lambda job: compare_models(job, first, second))))


@app.command()
def precompute() -> None:
    """Write the lists of active users by the model that serves; bridges fall back on them when they are told to."""
    with _settings() as settings:
        if not settings.trainer_precompute_videos:
            _fail("FEED_TRAINER_PRECOMPUTE_VIDEOS is 0, so no lists are made; set it to 1 to 1000", EXIT_WRONG_SETTINGS)
    typer.echo(f"lists written: {_with_training(Training.precompute)}")


@app.command()
def promote(model_version: str) -> None:
    """Make a published model serve."""
    with _settings() as settings:
        bundle_store(settings).promote(model_version)
    typer.echo(f"serving: {model_version}")


@app.command()
def rollback() -> None:
    """Make the newest model older than the serving one serve."""
    with _settings() as settings:
        version = bundle_store(settings).rollback()
    typer.echo(f"serving: {version}")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def schedule(context: typer.Context) -> None:
    """Run the job every night at 02:00 UTC, with health and metrics over HTTP."""
    raise typer.Exit(process.main("trainer", TrainerSettings, build, context.args))


def _with_training(work: Callable[[Training], T]) -> T:
    with _settings() as settings:
        if not sys.stdout.isatty():
            logs.configure("trainer", settings.log_level)
        upgrade(settings.effective_database_url)
        with training(settings, progress_for(Console())) as job:
            return work(job)


@contextmanager
def _settings() -> Iterator[TrainerSettings]:
    """Reads the settings; what the operator can mend ends the command with a sentence."""
    try:
        yield load(TrainerSettings, os.environ)
    except SettingsError as error:
        _fail(f"wrong settings:\n{error}", EXIT_WRONG_SETTINGS)
    except _EXPECTED as error:
        _fail(str(error), EXIT_FAILED)


def _day(text: str, option: str) -> date | None:
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no day as YYYY-MM-DD, such as 2025-09-01", param_hint=option) from None


def _report(result: Result) -> None:
    if result.status is not TrainingStatus.SUCCEEDED:
        _fail(f"{result.model_version} refused: {result.reason}", EXIT_REFUSED)
    typer.echo(f"published: {result.model_version}")


def _fail(text: str, code: int) -> NoReturn:
    typer.echo(f"trainer: {text}", err=True)
    raise typer.Exit(code)
