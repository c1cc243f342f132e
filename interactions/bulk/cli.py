"""The commands `feed import kuairand DIR` and `feed seed`."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import sqlalchemy as sa
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from interactions.bulk import kuairand
from interactions.bulk.csv_source import SourceError
from interactions.bulk.report import Summary, print_summary
from interactions.bulk.seed import seed_database
from interactions.bulk.simulation import Size
from runtime.settings import CommonSettings, SettingsError, load
from storage.database import UnreachableDatabaseError, sync_engine, upgrade

DatabaseUrl = Annotated[
    str, typer.Option(help="postgresql://… or sqlite:///…; default: FEED_DATABASE_URL, or SQLite under FEED_DATA_DIR.")
]


def import_kuairand(
    directory: Annotated[Path, typer.Argument(help="Folder with the data set's *.csv.gz files.")],
    database_url: DatabaseUrl = "",
) -> None:
    """Imports the KuaiRand data set: videos, users, feedback, history. Goes on where a killed run stopped."""

    def run(engine: sa.Engine, progress: Progress) -> Summary:
        return kuairand.import_directory(directory, engine, datetime.now(UTC), _Bars(progress))

    _run(database_url, run)


def seed(
    users: Annotated[int, typer.Option(min=1, max=20_000, help="Number of users.")] = 2_000,
    videos: Annotated[int, typer.Option(min=50, max=20_000, help="Number of videos.")] = 1_500,
    days: Annotated[int, typer.Option(min=1, max=90, help="Length of the log.")] = 14,
    number: Annotated[int, typer.Option("--seed", min=0, help="The same seed and --until give the same rows.")] = 7,
    until: Annotated[str, typer.Option(help="When the log ends, RFC 3339; default: now.")] = "",
    database_url: DatabaseUrl = "",
) -> None:
    """Writes a simulated catalogue and log, for those who have no data yet."""
    end = _time(until) if until else datetime.now(UTC).replace(microsecond=0)

    def run(engine: sa.Engine, progress: Progress) -> Summary:
        task = progress.add_task("simulated interactions", total=None)
        return seed_database(
            engine, Size(users, videos, days), number, end, lambda rows: progress.update(task, advance=rows)
        )

    _run(database_url, run)


def _without_password(url: str) -> str:
    if url and sa.make_url(url).password:
        text = "others on this machine see what is in arguments: set FEED_DATABASE_URL instead of a password here"
        raise typer.BadParameter(text, param_hint="--database-url")
    return url


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise typer.BadParameter(f"{text!r} is no time with a zone, such as 2026-05-01T12:00:00Z", param_hint="--until")
    return time.astimezone(UTC)


class _Bars:
    """One progress bar a file."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, name: str, done: int, total: int) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total)
        self._progress.update(self._tasks[name], completed=done)


def _run(database_url: str, load_into: Callable[[sa.Engine, Progress], Summary]) -> None:
    """Opens the database, brings it up to date, loads, and prints what was done."""
    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    try:
        url = _without_password(database_url) or load(CommonSettings, os.environ).effective_database_url
        upgrade(url)
        engine = sync_engine(url)
        with Progress(*columns, console=console) as progress:
            summary = load_into(engine, progress)
        engine.dispose()
    except (SourceError, SettingsError, UnreachableDatabaseError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    print_summary(summary, console)
