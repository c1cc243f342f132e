"""What commands that change rows by hand have in common: one transaction, and errors in the words of the command."""

import asyncio
import getpass
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NoReturn, TypeVar

import typer
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.settings import CommonSettings, SettingsError, load
from storage.audit import Actor, Door
from storage.database import Database, sync_engine
from storage.limits import Limits
from storage.problems import ProblemsError

ResultT = TypeVar("ResultT")

_TIMEOUT_S: Final = 10.0


def in_transaction(act: Callable[[AsyncConnection], Awaitable[ResultT]], options: Mapping[str, str]) -> ResultT:
    """Does something in one transaction; ends the command when that fails.

    Args:
        act: What is done.
        options: How each field is given on the command line, by its name; a field that is not there goes by its name.
    """
    try:
        url = load(CommonSettings, os.environ).effective_database_url
        open_once(url)
        return asyncio.run(_with_connection(url, act))
    except SettingsError as error:
        fail(f"wrong settings:\n{error}", code=2)
    except ProblemsError as error:
        fail("\n".join(f"{options.get(each.field, each.field)}: {each.text}" for each in error.problems), code=2)
    except (SQLAlchemyError, OSError) as error:  # a timeout is an OSError too
        cause = getattr(error, "orig", None) or error
        fail(f"the database cannot be used: {str(cause) or type(cause).__name__}")


def by_operator(name: str) -> Actor:
    """Returns who changes something at the command line; without a name, the system's user."""
    return Actor(name or getpass.getuser(), Door.CLI)


def fail(text: str, code: int = 1) -> NoReturn:
    """Ends the command with a text and an exit code."""
    typer.echo(text, err=True)
    raise typer.Exit(code)


def open_once(url: str) -> None:
    """Fails where the database cannot be opened: aiosqlite leaves a thread behind that complains, when it fails."""
    engine = sync_engine(url)
    try:
        engine.connect().close()
    finally:
        engine.dispose()


async def _with_connection(url: str, act: Callable[[AsyncConnection], Awaitable[ResultT]]) -> ResultT:
    database = Database(url, pool_size=1, limits=Limits(statement_timeout_s=_TIMEOUT_S))
    try:
        async with asyncio.timeout(_TIMEOUT_S), database.begin() as connection:
            return await act(connection)
    finally:
        await database.close()
