"""`feed users`: what a user may ask for: to be shown, to be erased, and not to be known."""

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Final, NoReturn, TypeVar

import typer
from sqlalchemy.exc import SQLAlchemyError

from deploy.database_command import fail, in_transaction
from deploy.erasing import Eraser
from deploy.users_export import export_user
from runtime.settings import CommonSettings, SettingsError, load
from storage import consent
from storage.database import Database
from storage.erasures import Part, PartState, Receipt

ResultT = TypeVar("ResultT")

app = typer.Typer(
    help="What users may ask for: their data, their erasure, and a feed that is not personal.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

# Names nothing else than the contract does.
_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_User = Annotated[str, typer.Argument(metavar="USER", help="the user's id, as clients send it")]

_MEANINGS: Final = {
    Part.DATABASE: "rows of all tables",
    Part.JOURNALS: "journals and spools of this data directory",
    Part.BRIDGES: "memory of the bridges",
    Part.TOPICS: "Kafka, by the retention of its topics",
    Part.EXPORT: "exported days, by the next training",
    Part.MODELS: "models, by the next training",
    Part.FILES: "what deleted rows leave in the database's files",
    Part.MARK: "the id itself, by which late records are known",
}


class Wish(StrEnum):
    """Whether a user wants to be known."""

    ON = "on"
    OFF = "off"


@app.command()
def erase(user: _User) -> None:
    """Erase a user, and print the receipt; safe to repeat, goes on where it was killed."""
    _tell([_run(lambda eraser: eraser.erase(_checked(user), _now()))])


@app.command()
def erased(user: _User) -> None:
    """Print the receipts of a user: what is gone since when, and by when the rest will be."""
    found = _run(lambda eraser: eraser.receipts(_checked(user), _now()))
    if not found:
        fail(f"{user} was never erased")
    _tell(found)


@app.command()
def export(
    user: _User,
    output: Annotated[Path | None, typer.Option(help="the file; default: USER.zip")] = None,
) -> None:
    """Write everything the tables hold of a user into a zip of NDJSON files."""
    path = output or Path(f"{_checked(user)}.zip")
    url = _settings().effective_database_url
    try:
        counts = export_user(url, _checked(user), path, _now())
    except (SQLAlchemyError, OSError) as error:
        _fail_of(error)
    typer.echo(f"{path}: {sum(counts.values())} rows")
    for table, count in counts.items():
        typer.echo(f"  {table} {count}")


@app.command("consent")
def set_consent(user: _User, wish: Annotated[Wish, typer.Argument(help="on: personal; off: trending only")]) -> None:
    """Say whether a user wants a personal feed; bridges obey within 5 s."""
    setting = partial(consent.set_consent, user_id=_checked(user), personalised=wish is Wish.ON)
    in_transaction(setting, {})
    typer.echo(f"{user}: {wish.value}")


def _run(work: Callable[[Eraser], Awaitable[ResultT]]) -> ResultT:
    settings = _settings()

    async def run() -> ResultT:
        database = Database(settings.effective_database_url, pool_size=1)
        try:
            return await work(Eraser(settings, database))
        finally:
            await database.close()

    try:
        return asyncio.run(run())
    except (SQLAlchemyError, OSError) as error:
        _fail_of(error)


def _checked(user: str) -> str:
    if not _ID.fullmatch(user):
        fail("USER: must be 1 to 128 characters of A-Z a-z 0-9 _ . : -", code=2)
    return user


def _settings() -> CommonSettings:
    try:
        return load(CommonSettings, os.environ)
    except SettingsError as error:
        fail(f"wrong settings:\n{error}", code=2)


def _fail_of(error: Exception) -> NoReturn:
    cause = getattr(error, "orig", None) or error
    fail(f"not finished, run it again: {str(cause) or type(cause).__name__}")


def _now() -> datetime:
    return datetime.now(UTC)


def _tell(receipts: list[Receipt]) -> None:
    for receipt in receipts:
        typer.echo(f"{receipt.erasure_id}  asked for {receipt.requested_at:%Y-%m-%d %H:%M:%S} UTC")
        for line in _lines(receipt):
            typer.echo(line)


def _lines(receipt: Receipt) -> Iterator[str]:
    for part in Part:
        state = receipt.parts.get(part)
        if state is not None:
            removed = f" ({state.removed})" if state.removed else ""
            yield f"  {part.value:<9} {_when(state):<32} {_MEANINGS[part]}{removed}"


def _when(state: PartState) -> str:
    if state.done_at is not None:
        return f"done {state.done_at:%Y-%m-%d %H:%M:%S} UTC"
    return f"by   {state.due_at:%Y-%m-%d %H:%M:%S} UTC" if state.due_at else "no time can be promised"
