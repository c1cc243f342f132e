"""What is known of users beside what they did, as words such as `country=AT`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from storage.database import Database
from storage.quick_select import QuickSelect, parameter
from storage.segments import language_of
from storage.tables import users

# Rows fetched at a time.
_BATCH_ROWS: Final = 20_000

_MOST_WORDS: Final = 200
_LONGEST_WORD: Final = 128

# JSON as text: both databases give it as they hold it.
_COLUMNS: Final = (sa.cast(users.c.features, sa.Text), users.c.locale, users.c.country)
# Who was erased wants to be known again only once that is said anew.
_MAY_BE_USED: Final = (users.c.personalised,)

_OF_ONE: Final = QuickSelect(sa.select(*_COLUMNS).where(users.c.user_id == parameter("user_id"), *_MAY_BE_USED))


class KnownUser(NamedTuple):
    """What is known of a user: named values, the locale (BCP 47) and the country; empty: unknown."""

    features: Mapping[str, Any]
    locale: str
    country: str


def words(features: Mapping[str, Any], locale: str, country: str) -> list[str]:
    """Returns what is known of a user as words, `name=value` each; the same words in training and in serving.

    Args:
        features: Named values. Texts, numbers and truth values count; anything else does not.
        locale: BCP 47; only its language counts. Empty: unknown.
        country: ISO 3166-1 alpha-2. Empty: unknown.
    """
    named = {"country": country, "language": language_of(locale), **features}
    told = (f"{name}={value}" for name, value in named.items() if isinstance(value, str | int | float))
    usable = (word for word in told if not word.endswith("=") and len(word) <= _LONGEST_WORD and word.isprintable())
    return list(usable)[:_MOST_WORDS]


def all_users(connection: sa.Connection) -> Iterator[tuple[str, list[str]]]:
    """Streams the words of every user who has any and lets them be used."""
    statement = sa.select(users.c.user_id, *_COLUMNS).where(*_MAY_BE_USED)
    result = connection.execution_options(stream_results=True, max_row_buffer=_BATCH_ROWS).execute(statement)
    for user_id, *row in result:
        found = words(*_known(row))
        if found:
            yield user_id, found


async def of_user(database: Database, user_id: str) -> KnownUser:
    """Returns what is known of one user; nothing of one who is not there or does not let it be used.

    Raises:
        SQLAlchemyError: When the database refuses or goes away.
    """
    rows = await _OF_ONE.rows(database, {"user_id": user_id})
    return _known(rows[0]) if rows else KnownUser({}, "", "")


def _known(row: Sequence[Any]) -> KnownUser:
    features, locale, country = row
    told = json.loads(features)
    return KnownUser(told if isinstance(told, dict) else {}, locale, country)
