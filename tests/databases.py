"""Databases for tests."""

import uuid

import sqlalchemy as sa

from storage.database import sync_engine


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
