"""The few statements that PostgreSQL and SQLite spell alike but SQLAlchemy keeps apart."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

Insert = postgresql.Insert | sqlite.Insert

_MOST_HALVINGS: Final = 1_000.0


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


def among(column: sa.ColumnElement[Any], values: Collection[str | int], dialect_name: str) -> sa.ColumnElement[bool]:
    """Returns the condition that a text or a whole number is one of many: one parameter, however many there are."""
    given = sa.bindparam(None, as_json(values), type_=sa.Text)
    if dialect_name == "postgresql":
        each: sa.ColumnElement[Any] = sa.func.json_array_elements_text(sa.cast(given, postgresql.JSON))
        listed = sa.select(sa.cast(each, sa.BigInteger) if isinstance(column.type, sa.Integer) else each)
        # An array, so that the planner looks each value up however it misjudges their number.
        return column == sa.any_(sa.func.array(listed.scalar_subquery()))
    return column.in_(sa.select(sa.func.json_each(given).table_valued("value").c.value))


def without_index(column: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    """Returns a text column by which no index is looked into: where a better one is known than the planner takes."""
    return column.concat("")


def as_json(values: Collection[object]) -> str:
    """Returns many values as one parameter.

    Not as an array: asyncpg looks at each element of one for longer than PostgreSQL takes to parse this.
    """
    return msgspec.json.encode(list(values)).decode()


def postgres_rows(*names: str) -> str:
    """Returns what PostgreSQL selects FROM, with a column for each of these parameters, which are lists as JSON.

    Flat lists of texts: of a list of rows, each row is parsed anew for each of its values.
    """
    lists = ", ".join(f"json_array_elements_text(CAST(:{name} AS json))" for name in names)
    return f"ROWS FROM ({lists})"


async def set_for_transaction(connection: AsyncConnection, settings: Mapping[str, str]) -> None:
    """Gives PostgreSQL settings for this transaction alone, so that others may use its connection later."""
    if connection.dialect.name == "postgresql":
        # As a function, since SET takes no parameters; True: for this transaction.
        await connection.execute(sa.select(*(sa.func.set_config(*setting, True) for setting in settings.items())))


def unix_seconds(column: sa.Column[datetime], dialect_name: str) -> sa.ColumnElement[float]:
    """Returns a time column as Unix seconds, whole ones on SQLite.

    A server that reads thousands of rows between two requests has no time to make a datetime of each.
    """
    if dialect_name == "postgresql":
        return sa.cast(sa.extract("epoch", column), sa.Float)
    return sa.cast(sa.func.strftime("%s", column), sa.Float)


def utc_day(column: sa.Column[datetime], dialect_name: str) -> sa.ColumnElement[date]:
    """Returns the day of a time column in UTC."""
    if dialect_name == "postgresql":
        return sa.cast(sa.func.timezone("UTC", column), sa.Date)
    return sa.func.date(column, type_=sa.Date)


def json_length(column: sa.Column[object], dialect_name: str) -> sa.ColumnElement[int]:
    """Returns how many elements a JSON array has."""
    count = sa.func.jsonb_array_length if dialect_name == "postgresql" else sa.func.json_array_length
    return count(column, type_=sa.Integer)


def decayed_by(age_s: sa.ColumnElement[float], half_life_s: float) -> sa.ColumnElement[float]:
    """Returns how much something of this age still counts, 1 to 0.

    Args:
        age_s: Its age, seconds.
        half_life_s: Age at which it counts half, seconds.
    """
    halvings = age_s / sa.literal(half_life_s, sa.Float)
    # PostgreSQL refuses to compute what is too small for a number.
    halvings = sa.case((halvings < _MOST_HALVINGS, halvings), else_=_MOST_HALVINGS)
    return sa.func.power(sa.literal(0.5, sa.Float), halvings, type_=sa.Float)


def upsert(table: sa.Table, dialect_name: str, conflict: Sequence[str], update: Sequence[str]) -> Insert:
    """Returns an INSERT that overwrites `update` columns of rows that are there already."""
    statement = insert(table, dialect_name)
    return statement.on_conflict_do_update(
        index_elements=list(conflict), set_={name: statement.excluded[name] for name in update}
    )
