"""The few statements that PostgreSQL and SQLite spell alike but SQLAlchemy keeps apart."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

Insert = postgresql.Insert | sqlite.Insert


def insert(table: sa.Table, dialect_name: str) -> Insert:
    """Returns an INSERT that knows ON CONFLICT.

    Args:
        table: The table.
        dialect_name: `connection.dialect.name`.
    """
    return postgresql.insert(table) if dialect_name == "postgresql" else sqlite.insert(table)


def insert_ignore(table: sa.Table, dialect_name: str, conflict: Sequence[str]) -> Insert:
    """Returns an INSERT that leaves rows alone whose `conflict` columns are there already."""
    return insert(table, dialect_name).on_conflict_do_nothing(index_elements=list(conflict))


def unix_seconds(column: sa.Column[datetime], dialect_name: str) -> sa.ColumnElement[float]:
    """Returns a time column as Unix seconds, whole ones on SQLite.

    A server that reads thousands of rows between two requests has no time to make a datetime of each.
    """
    if dialect_name == "postgresql":
        return sa.cast(sa.extract("epoch", column), sa.Float)
    return sa.cast(sa.func.strftime("%s", column), sa.Float)


def upsert(table: sa.Table, dialect_name: str, conflict: Sequence[str], update: Sequence[str]) -> Insert:
    """Returns an INSERT that overwrites `update` columns of rows that are there already."""
    statement = insert(table, dialect_name)
    return statement.on_conflict_do_update(
        index_elements=list(conflict), set_={name: statement.excluded[name] for name in update}
    )
