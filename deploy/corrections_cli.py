"""`feed corrections`: what editors change by hand in everybody's feed, or in one user's."""

import asyncio
import getpass
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Final, NoReturn, TypeVar

import typer
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.settings import CommonSettings, SettingsError, load
from storage import corrections
from storage.correction_rules import CorrectionError, Rule
from storage.corrections import StoredCorrection
from storage.database import Database, sync_engine

ResultT = TypeVar("ResultT")

app = typer.Typer(
    help="What editors change by hand: boost, reduce, block, reweight. Bridges obey within 5 s.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

_TIMEOUT_S: Final = 10.0

# How each field is given here.
_OPTIONS: Final = {
    "correction_type": "KIND",
    "user_id": "--user",
    "video_id": "--video, --author, --tag or --language",
    "target_factor": "--part",
    "target_value": "--author, --tag or --language",
    "correction_value": "--value",
    "reason": "--reason",
    "admin_id": "--by",
}


@app.command()
def add(  # noqa: PLR0913  # one option a field
    kind: Annotated[str, typer.Argument(help="boost, reduce, block or reweight")],
    *,
    reason: Annotated[str, typer.Option(help="why")],
    value: Annotated[float | None, typer.Option(help="how much, -100 to 100; for all but block")] = None,
    user: Annotated[str, typer.Option(help="only this user's feed")] = "",
    video: Annotated[str, typer.Option(help="only this video")] = "",
    author: Annotated[str, typer.Option(help="only videos by this author")] = "",
    tag: Annotated[str, typer.Option(help="only videos with this tag")] = "",
    language: Annotated[str, typer.Option(help="only videos in this language")] = "",
    part: Annotated[str, typer.Option(help="for reweight: user_item, item_bias or prior")] = "",
    by: Annotated[str, typer.Option(help="who changes it; default: the system's user")] = "",
) -> None:
    """Add a correction, and print its id."""
    targets = {"author": author, "tag": tag, "language": language}
    given = {factor: target for factor, target in targets.items() if target}
    if len(given) + bool(part) > 1:
        _fail("give one of --author, --tag, --language and --part, not several", code=2)
    factor, target = next(iter(given.items()), (part, ""))
    rule = Rule(kind.upper(), user, video, target_factor=factor, target_value=target, value=value)
    made = _run(
        lambda connection: corrections.create(
            connection, rule, reason=reason, admin_id=by or getpass.getuser(), now=datetime.now(UTC)
        )
    )
    typer.echo(made.correction_id)


@app.command("list")
def list_(
    *,
    everything: Annotated[bool, typer.Option("--all", help="also those that are switched off")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="most of them")] = 100,
) -> None:
    """List the corrections in force, newest first."""
    for each in _run(lambda connection: corrections.list_newest(connection, limit, include_inactive=everything)):
        typer.echo(_line(each))


@app.command()
def off(correction_id: Annotated[str, typer.Argument(help="as `add` and `list` print it")]) -> None:
    """Switch a correction off; safe to repeat."""
    found = _run(lambda connection: corrections.deactivate(connection, correction_id))
    if found is None:
        _fail(f"there is no correction {correction_id}")
    typer.echo(_line(found))


def _line(each: StoredCorrection) -> str:
    rule = each.rule
    value = "" if rule.value is None else f" {rule.value:g}"
    parts = (
        each.correction_id,
        f"{each.created_at:%Y-%m-%d %H:%M:%S}",
        "" if each.is_active else "off",
        f"{rule.correction_type.lower()}{value}",
        f"user {rule.user_id}" if rule.user_id else "everybody",
        f"video {rule.video_id}" if rule.video_id else "",
        f"{rule.target_factor} {rule.target_value}".strip(),
        f'"{each.reason}"',
        f"by {each.admin_id}",
    )
    return "  ".join(part for part in parts if part)


def _run(act: Callable[[AsyncConnection], Awaitable[ResultT]]) -> ResultT:
    try:
        url = load(CommonSettings, os.environ).effective_database_url
        _open_once(url)
        return asyncio.run(_with_connection(url, act))
    except SettingsError as error:
        _fail(f"wrong settings:\n{error}", code=2)
    except CorrectionError as error:
        _fail("\n".join(f"{_OPTIONS.get(each.field, each.field)}: {each.text}" for each in error.problems), code=2)
    except (SQLAlchemyError, OSError) as error:  # a timeout is an OSError too
        cause = getattr(error, "orig", None) or error
        _fail(f"the database cannot be used: {str(cause) or type(cause).__name__}")


def _open_once(url: str) -> None:
    """Fails where the database cannot be opened: aiosqlite leaves a thread behind that complains, when it fails."""
    engine = sync_engine(url)
    try:
        engine.connect().close()
    finally:
        engine.dispose()


async def _with_connection(url: str, act: Callable[[AsyncConnection], Awaitable[ResultT]]) -> ResultT:
    database = Database(url, pool_size=1)
    try:
        async with asyncio.timeout(_TIMEOUT_S), database.begin() as connection:
            return await act(connection)
    finally:
        await database.close()


def _fail(text: str, code: int = 1) -> NoReturn:
    typer.echo(text, err=True)
    raise typer.Exit(code)
