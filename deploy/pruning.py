"""`feed db prune`: what is done every night to the database besides training."""

import asyncio
import os
from datetime import UTC, datetime

import typer
from sqlalchemy.exc import SQLAlchemyError

from deploy.database_command import fail
from deploy.erasing import Eraser
from deploy.retention_settings import RetentionSettings
from runtime.settings import SettingsError, load
from storage import retention
from storage.database import Database


def prune() -> None:
    """Deletes what is too old, and goes on erasing; ends the command when that fails."""
    try:
        settings = load(RetentionSettings, os.environ)
        deleted, erased = asyncio.run(_prune(settings))
    except SettingsError as error:
        fail(f"wrong settings:\n{error}", code=2)
    except (SQLAlchemyError, OSError) as error:
        cause = getattr(error, "orig", None) or error
        fail(f"not finished, run it again: {str(cause) or type(cause).__name__}")
    for table, count in deleted.items():
        typer.echo(f"{table}: {count} rows deleted")
    typer.echo(f"users looked for again: {erased}")


async def _prune(settings: RetentionSettings) -> tuple[dict[str, int], int]:
    database = Database(settings.effective_database_url, pool_size=1)
    try:
        now = datetime.now(UTC)
        # First what was promised.
        erased = await Eraser(settings, database).go_on(now)
        return await retention.prune(database, settings.retention, now), erased
    finally:
        await database.close()
