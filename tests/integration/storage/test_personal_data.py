"""A user is taken out of every table, and out of no other user's rows; what is counted still balances."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from interactions.domain.event import InteractionType
from storage import consent, erasures, retention
from storage.database import Database, reading, sync_engine
from storage.erasures import Part, PartState
from storage.personal_data import erase_rows, erased_columns, rows_of
from storage.retention import Retention
from storage.tables import (
    experiment_users,
    feed_cache,
    metadata,
    model_corrections,
    outcome_days,
    outcome_totals,
    outcome_waiting,
    recommendation_decisions,
    user_interactions,
    user_recommendations,
    users,
)
from tests.integration.insights.books import BEGIN, Books, event, page

LIKE = InteractionType.LIKE
# Tables whose rows have a user; of outcomes by their decisions.
OF_USERS = [users, user_interactions, feed_cache, user_recommendations, recommendation_decisions, outcome_waiting]
OF_USERS += [experiment_users, model_corrections]
FOREVER = Retention(0, 0, 0, 0, 0)


def test_every_column_that_names_a_user_is_seen_to() -> None:
    """A new table with a user in it fails here until it is known what an erasure does with it."""
    named = {
        f"{table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.columns
        if column.name.endswith("user_id")
    }
    assert erased_columns() == named


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    yield opened
    await opened.close()


async def live(database: Database, *user_ids: str) -> Books:
    """Each user is known, was served two pages, liked a video of one and said something of a page to come."""
    books = Books(database)
    await books.keep()
    for user_id in user_ids:
        await books.serve(page(f"a-{user_id}", userId=user_id), page(f"b-{user_id}", userId=user_id))
        await books.act(event(LIKE, user_id=user_id, recommendation_id=f"a-{user_id}"))
        await books.act(event(LIKE, user_id=user_id, recommendation_id=f"late-{user_id}"))
    await books.keep()
    async with database.begin() as connection:
        for user_id in user_ids:
            await _add_the_rest(connection, user_id)
        similar = sa.update(recommendation_decisions).where(recommendation_decisions.c.user_id == "u2")
        await connection.execute(similar.values(similar_user_id="u1"))
    return books


async def _add_the_rest(connection: AsyncConnection, user_id: str) -> None:
    await connection.execute(sa.insert(users), {"user_id": user_id, "features": {"age": 30}, "personalised": True})
    made = {"algorithm": "a", "model_version": "m", "generated_at": BEGIN, "expires_at": BEGIN + timedelta(days=9_000)}
    listed = [{"user_id": user_id, "video_id": f"v{rank}", "score": 1.0, "rank": rank, **made} for rank in range(2_500)]
    await connection.execute(sa.insert(user_recommendations), listed)
    await connection.execute(sa.insert(experiment_users), {"experiment": "e", "variant": "v", "user_id": user_id})
    told = {"reason": "r", "admin_id": "ann", "is_active": True, "created_at": BEGIN, "correction_type": "BLOCK"}
    await connection.execute(sa.insert(model_corrections), {"correction_id": user_id, "user_id": user_id, **told})


async def counts(database: Database, user_id: str) -> dict[str, int]:
    async with database.read() as connection:
        return {
            table.name: await connection.scalar(
                sa.select(sa.func.count()).select_from(table).where(table.c.user_id == user_id)
            )
            or 0
            for table in OF_USERS
        }


async def test_a_user_is_erased_from_every_table_and_others_are_as_they_were(database: Database) -> None:
    books = await live(database, "u1", "u2")
    before, state = await counts(database, "u2"), await books.state()
    assert all(before.values())
    assert (await counts(database, "u1")) == before

    erased = await erase_rows(database, "u1")

    left = await counts(database, "u1")
    assert left.pop("users") == 1  # the mark is another step
    assert set(left.values()) == {0}
    assert erased == sum(before.values()) - before["users"] + 4  # the similar user's too
    assert await counts(database, "u2") == before
    assert {row["recommendation_id"] for row in await books.rows()} == {"a-u2", "b-u2"}
    async with database.read() as connection:
        assert await connection.scalar(sa.select(sa.func.count(recommendation_decisions.c.similar_user_id))) == 0
    after = await books.state()
    assert (after.balance, after.served, after.by_outcome["pending"]) == (0, state.served - 3, 3)
    assert after.by_outcome["liked"] == state.by_outcome["liked"] == 2
    assert await erase_rows(database, "u1") == 0


async def test_the_ledger_goes_on_behind_rows_that_are_gone(database: Database) -> None:
    """SQLite would give the newest rows' numbers again, and who follows them would miss the next ones."""
    books = await live(database, "u2", "u1")
    await erase_rows(database, "u1")
    await books.serve(page("next", userId="u3"))
    await books.act(event(LIKE, user_id="u3", recommendation_id="next"))
    await books.keep()
    assert (await books.outcomes())["next", 1] == "liked"
    assert (await books.state()).balance == 0


async def sums(database: Database, table: sa.Table) -> tuple[int, int]:
    async with database.read() as connection:
        found = await connection.execute(sa.select(sa.func.sum(table.c.served), sa.func.sum(table.c.pending)))
    served, pending = found.one()
    return int(served), int(pending)


async def test_days_and_totals_stay_equal(database: Database) -> None:
    await live(database, "u1", "u2")
    await erase_rows(database, "u1")
    assert await sums(database, outcome_days) == await sums(database, outcome_totals) == (5, 3)


async def test_an_export_has_every_row_of_the_user_and_none_of_others(database: Database, database_url: str) -> None:
    books = await live(database, "u1", "u2")
    engine = sync_engine(database_url)
    with reading(engine) as connection:
        found: dict[str, list[dict[str, object]]] = {}
        for table, row in rows_of(connection, "u1"):
            found.setdefault(table, []).append(dict(row))
    engine.dispose()
    outcomes = found.pop("prediction_outcomes")
    assert {table: len(rows) for table, rows in found.items()} == await counts(database, "u1")
    assert {row["user_id"] for rows in found.values() for row in rows} == {"u1"}
    assert outcomes == [row for row in await books.rows() if str(row["recommendation_id"]).endswith("u1")]


async def test_a_mark_leaves_only_the_id_and_the_time(database: Database) -> None:
    await live(database, "u1")
    async with database.begin() as connection:
        await consent.mark_erased(connection, "u1", BEGIN)
        (row,) = (await connection.execute(sa.select(users))).mappings()
    empty = {"features": {}, "locale": "", "country": "", "personalised": False, "erased_at": BEGIN}
    assert dict(row) == {"user_id": "u1", **empty}


async def test_an_old_mark_goes_and_who_came_back_stays(database: Database) -> None:
    async with database.begin() as connection:
        for user_id, day in (("gone", 0), ("back", 0), ("late", 9)):
            await consent.mark_erased(connection, user_id, BEGIN + timedelta(days=day))
        await consent.set_consent(connection, "back", personalised=True)
        await consent.set_consent(connection, "off", personalised=False)
        assert sorted(await consent.unmark(connection, BEGIN + timedelta(days=1))) == ["back", "gone"]
        left = await connection.execute(sa.select(users.c.user_id, users.c.erased_at).order_by(users.c.user_id))
        assert [tuple(row) for row in left] == [("back", None), ("late", BEGIN + timedelta(days=9)), ("off", None)]


async def test_a_receipt_is_found_by_the_id_and_does_not_tell_it(database: Database) -> None:
    later = BEGIN + timedelta(hours=1)
    parts = {Part.DATABASE: PartState(BEGIN), Part.TOPICS: PartState(later), Part.FILES: PartState(None)}
    async with database.begin() as connection:
        made = await erasures.open_receipt(connection, "u1", parts, BEGIN)
        await erasures.removed(connection, made, Part.DATABASE, 5)
        await erasures.done(connection, made, Part.DATABASE, BEGIN)
        await erasures.finish_due(connection, [Part.TOPICS], BEGIN)
        (receipt,) = await erasures.receipts(connection, "u1")
        assert receipt.parts == {
            Part.DATABASE: PartState(BEGIN, BEGIN, 5),
            Part.TOPICS: PartState(later),
            Part.FILES: PartState(None),
        }
        await erasures.finish_due(connection, [Part.TOPICS], later)
        (receipt,) = await erasures.receipts(connection, "u1")
        assert receipt.parts[Part.TOPICS] == PartState(later, later)
        assert await erasures.receipts(connection, "u2") == []


async def test_old_rows_are_pruned_and_pending_ones_stay_until_they_are_decided(database: Database) -> None:
    books = await live(database, "u1")
    now = BEGIN + timedelta(days=40)
    kept = Retention(interactions=30, decisions=39, trending=30, experiment_users=0, trainings=0)
    deleted = await retention.prune(database, kept, now)
    assert deleted["user_interactions"] == 2
    assert deleted["trending"] >= 1
    assert deleted["recommendation_decisions"] == 1
    assert {row["user_action"] for row in await books.rows()} == {"pending"}
    assert (await books.state()).balance == 0
    books.time = now
    await books.keep()
    state = await books.state()
    assert (await retention.prune(database, kept, now))["recommendation_decisions"] == 3
    assert await books.rows() == []
    assert await books.state() == state
    assert set((await retention.prune(database, kept, now)).values()) == {0}


async def test_what_is_young_or_kept_for_ever_stays(database: Database) -> None:
    await live(database, "u1")
    before = await counts(database, "u1")
    whole_days = Retention(1, 1, 1, 1, 1)
    assert set((await retention.prune(database, whole_days, BEGIN + timedelta(hours=35))).values()) == {0}
    assert set((await retention.prune(database, FOREVER, BEGIN + timedelta(days=4_000))).values()) == {0}
    assert await counts(database, "u1") == before
