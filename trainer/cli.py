"""`feed trainer …`: the nightly job, its parts, and which model serves."""

import getpass
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
from runtime.models.candidate_file import Candidate, Mode
from runtime.models.model_bundle import BundleError
from runtime.secrets.signing import KeyFileError
from runtime.settings import SettingsError, load
from storage.database import UnreachableDatabaseError, upgrade
from storage.trainings import StillRunningError, TrainingStatus
from trainer.adapters.bundle_store import ServesAlreadyError
from trainer.adapters.parquet_files import ExportError
from trainer.adapters.run_subprocess import EXIT_FAILED, EXIT_REFUSED, tell_and_wait
from trainer.adapters.spark import SparkUnavailableError
from trainer.app import build, bundle_store, model_changes, popularity_count, progress_for, telling, training
from trainer.changes import ModelChanges
from trainer.comparing import NotComparableError, compare_models
from trainer.domain.cold import NothingToLearnError
from trainer.domain.search_space import NotTunableError
from trainer.estimating import NotEstimableError, estimate_choices
from trainer.quality_report import quality_lines
from trainer.report.models_table import models_text
from trainer.report.terminal import comparison_text, estimate_text
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
    StillRunningError,
    BundleError,
    ExportError,
    KeyFileError,
    NotComparableError,
    NotEstimableError,
    ServesAlreadyError,
    NothingToLearnError,
    NotTunableError,
    SparkUnavailableError,
)

_By = Annotated[str, typer.Option(help="Who does it, for the audit trail; default: the system's user.")]
_Unkept = Annotated[
    bool, typer.Option("--without-audit", help="Do it although the database, which keeps the audit trail, is down.")
]
_Share = Annotated[float, typer.Option(min=0, max=1, help="Share of the users, 0 to 1.")]


@app.command()
def run() -> None:
    """Run the whole nightly job once: export, fit, evaluate, gate, publish, promote, register."""
    _report(_run_and_tell(promote=True))


@app.command()
def fit() -> None:
    """The same without promoting: the model is published, `promote` makes it serve."""
    _report(_run_and_tell(promote=False))


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
def tune(
    trials: Annotated[int, typer.Option(min=1, help="How many in all, those of a call that was ended included.")] = 50,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds after which no trial begins; 0: none.")] = 0,
) -> None:
    """Choose settings on the days before the test; may be ended at any time and goes on where it was."""
    # optuna is of no use to a training.
    from trainer.report.tuned import tuned_text  # noqa: PLC0415
    from trainer.tuning import Bounds, tune  # noqa: PLC0415

    typer.echo(tuned_text(_with_training(lambda job: tune(job, Bounds(trials, timeout)))))


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
def estimate(name: Annotated[str, typer.Argument(help="Version of a model, or `live`.")]) -> None:
    """Say how many of the new videos that a model would have chosen had been accepted, by what lots chose."""
    typer.echo(estimate_text(_with_training(lambda job: estimate_choices(job, name))))


@app.command()
def precompute() -> None:
    """Write the lists of active users by the model that serves; bridges fall back on them when they are told to."""
    with _settings() as settings:
        if not settings.trainer_precompute_videos:
            _fail("FEED_TRAINER_PRECOMPUTE_VIDEOS is 0, so no lists are made; set it to 1 to 1000", EXIT_WRONG_SETTINGS)
    typer.echo(f"lists written: {_with_training(Training.precompute)}")


@app.command()
def tell() -> None:
    """Tell MLflow and Snowflake what came of runs and they do not know; each run does it too, and the schedule."""
    with _settings() as settings:
        _log_unless_seen(settings)
        upgrade(settings.effective_database_url)
        with telling(settings) as outbox:
            if not outbox.tell():
                _fail("not everybody could be told; it is tried again later (see the log)", EXIT_FAILED)


@app.command()
def promote(model_version: str, *, by: _By = "", without_audit: _Unkept = False) -> None:
    """Make a published model serve."""
    with _changes(by, is_kept=not without_audit) as changes:
        changes.promote(model_version)
    typer.echo(f"serving: {model_version}")


@app.command()
def rollback(*, by: _By = "", without_audit: _Unkept = False) -> None:
    """Make the newest model older than the serving one serve."""
    with _changes(by, is_kept=not without_audit) as changes:
        version = changes.rollback()
    typer.echo(f"serving: {version}")


@app.command()
def shadow(model_version: str, share: _Share = 0.1, *, by: _By = "") -> None:
    """Let a published model rank beside the one that serves, for nobody to see: metrics tell how they differ."""
    _try_out(Candidate(model_version, Mode.SHADOW, share), by)


@app.command()
def canary(model_version: str, share: _Share = 0.05, *, by: _By = "") -> None:
    """Let a published model serve a share of the users, always the same ones."""
    _try_out(Candidate(model_version, Mode.CANARY, share), by)


@app.command()
def withdraw(*, by: _By = "", without_audit: _Unkept = False) -> None:
    """End what `shadow` or `canary` began: all users are served by the live model again."""
    with _changes(by, is_kept=not without_audit) as changes:
        changes.withdraw()
    typer.echo("no model is tried")


@app.command()
def models() -> None:
    """Show the published models: which one serves, which is tried and how."""
    with _settings() as settings:
        typer.echo(models_text(bundle_store(settings)))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def schedule(context: typer.Context) -> None:
    """Run the job every night at 02:00 UTC, with health and metrics over HTTP."""
    raise typer.Exit(process.main("trainer", TrainerSettings, build, context.args))


def _try_out(candidate: Candidate, by: str) -> None:
    with _changes(by) as changes:
        changes.try_out(candidate)
    typer.echo(f"{candidate.mode}: {candidate.model_version}, {candidate.share * 100:g}% of users")


def _run_and_tell(*, promote: bool) -> Result:
    def work(job: Training) -> Result:
        try:
            return job.run(promote=promote)
        finally:
            with telling(job.settings) as outbox:
                is_due = outbox.is_due()
            if is_due:
                tell_and_wait()

    return _with_training(work)


def _with_training(work: Callable[[Training], T]) -> T:
    with _settings() as settings:
        _log_unless_seen(settings)
        upgrade(settings.effective_database_url)
        with training(settings, progress_for(Console())) as job:
            return work(job)


@contextmanager
def _changes(by: str, *, is_kept: bool = True) -> Iterator[ModelChanges]:
    with _settings() as settings:
        try:
            with model_changes(settings, by or getpass.getuser(), is_kept=is_kept) as made:
                yield made
        except UnreachableDatabaseError as error:
            _fail(f"{error}; promote, rollback and withdraw can do without it: --without-audit", EXIT_FAILED)
    if not is_kept:
        typer.echo("trainer: the audit trail does not tell of it", err=True)


@contextmanager
def _settings() -> Iterator[TrainerSettings]:
    """Reads the settings; what the operator can mend ends the command with a sentence."""
    try:
        yield load(TrainerSettings, os.environ)
    except SettingsError as error:
        _fail(f"wrong settings:\n{error}", EXIT_WRONG_SETTINGS)
    except _EXPECTED as error:
        _fail(str(error), EXIT_FAILED)


def _log_unless_seen(settings: TrainerSettings) -> None:
    if not sys.stdout.isatty():
        logs.configure("trainer", settings.log_level)


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
