"""Migrations, taken back and applied again."""

from pathlib import Path

from alembic import command
from alembic.config import Config

import storage
from storage.database import sync_engine, upgrade


def made_anew(url: str, revision: str) -> None:
    """Takes everything back to before a revision, and brings the database to the newest schema again."""
    config = Config()
    config.set_main_option("script_location", str(Path(storage.__file__).parent / "migrations"))
    engine = sync_engine(url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, f"{revision}-1")
    engine.dispose()
    upgrade(url)
