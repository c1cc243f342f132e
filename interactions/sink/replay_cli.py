"""The command `feed replay-dlq`."""

import asyncio
import os
from collections.abc import Iterator
from typing import Annotated, Final

import typer

from eventlog.history import history
from eventlog.opening import open_publisher
from eventlog.ports import EventLogError, StoredRecord
from eventlog.topics import INTERACTIONS, INTERACTIONS_DLQ, SERVED
from interactions.sink.replay import Report, replay
from runtime.settings import CommonSettings, SettingsError, load

GROUP: Final = "feed-replay-dlq"


def replay_dlq(
    *,
    dry_run: Annotated[bool, typer.Option(help="only tell what would be done")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="most records to publish")] = None,
) -> None:
    """Publish the dead letters again that can be read now; tell why the others cannot. Safe to repeat."""
    try:
        settings = load(CommonSettings, os.environ)
        report = asyncio.run(_replay(settings, dry_run=dry_run, limit=limit))
    except SettingsError as error:
        typer.echo(f"wrong settings:\n{error}", err=True)
        raise typer.Exit(2) from error
    except EventLogError as error:
        typer.echo(f"{error}\nNothing is lost: run it again.", err=True)
        raise typer.Exit(1) from error
    for line in (*_dry(dry_run), *report.lines()):
        typer.echo(line)


async def _replay(settings: CommonSettings, *, dry_run: bool, limit: int | None) -> Report:
    letters: Iterator[StoredRecord] = history(settings, INTERACTIONS_DLQ, GROUP)
    if dry_run:
        return await replay(letters, None, limit=limit)
    publisher = open_publisher(settings, topics=(INTERACTIONS, SERVED))
    await publisher.start()
    try:
        return await replay(letters, publisher, limit=limit)
    finally:
        await publisher.close()


def _dry(dry_run: bool) -> Iterator[str]:
    if dry_run:
        yield "dry run: nothing is published"
