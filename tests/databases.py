"""Databases for tests."""

import threading
import uuid

import sqlalchemy as sa

from storage.database import sync_engine
from tests.polling import until


def fresh_postgres_url(url: str) -> str:
    """Makes a new database on the server of `url`; returns its URL."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    engine = sync_engine(url)
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
    finally:
        engine.dispose()
    return sa.make_url(url).set(database=name).render_as_string(hide_password=False)


async def drivers_ended() -> None:
    """Waits for the threads of SQLite's driver: who could not connect ends by itself, and wants the loop for it."""

    async def running() -> int:
        return sum("_connection_worker_thread" in thread.name for thread in threading.enumerate())

    await until(running, 0)
