"""What both databases know of users, as words."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from storage.database import Database, sync_engine
from storage.tables import users
from storage.user_features import KnownUser, all_users, of_user, words

ROWS = [
    {"user_id": "ann", "features": {"age": 30, "club": True}, "locale": "de-AT", "country": "AT", "personalised": True},
    {"user_id": "bob", "features": {}, "locale": "", "country": "", "personalised": True},
    {"user_id": "cat", "features": {"age": 40}, "locale": "en", "country": "GB", "personalised": False},
    {"user_id": "dan", "features": {"age": 50}, "locale": "en", "country": "GB", "personalised": True},
]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Four users: one of whom nothing is known, one who does not want it used, one who is erased."""
    engine = sync_engine(database_url)
    with engine.begin() as connection:
        connection.execute(sa.insert(users), ROWS)
        erased = sa.update(users).where(users.c.user_id == "dan")
        connection.execute(erased.values(personalised=False, erased_at=datetime.now(UTC)))
    with engine.connect() as connection:
        assert list(all_users(connection)) == [("ann", ["country=AT", "language=de", "age=30", "club=True"])]
    engine.dispose()
    opened = Database(database_url)
    yield opened
    await opened.close()


@pytest.mark.parametrize(
    ("user_id", "known"),
    [
        ("ann", KnownUser({"age": 30, "club": True}, "de-AT", "AT")),
        ("bob", KnownUser({}, "", "")),
        ("cat", KnownUser({}, "", "")),
        ("dan", KnownUser({}, "", "")),
        ("nobody", KnownUser({}, "", "")),
    ],
)
async def test_of_one_user_is_known_what_may_be_used(database: Database, user_id: str, known: KnownUser) -> None:
    assert await of_user(database, user_id) == known


def test_only_plain_values_of_bearable_length_are_words() -> None:
    told = {"a": 1, "b": 2.5, "c": "x", "d": None, "e": [1], "f": "y" * 200, "g": "", "h": {"i": 1}, "j": "two\nlines"}
    assert words(told, "", "") == ["a=1", "b=2.5", "c=x"]
    assert words({"country": "DE"}, "en-GB", "GB") == ["country=DE", "language=en"]
    assert len(words({str(number): number for number in range(1000)}, "", "")) == 200
