"""Whatever happens to what users say on the way, the ledger balances to the last item."""

import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import islice
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa

from insights.ports import LedgerUnavailableError
from interactions.domain.event import InteractionType
from storage.database import Database
from tests.chaos.figures import report
from tests.integration.insights.books import BEGIN, WINDOW, Books, event, page
from tests.integration.insights.mishaps import FATES, Users

T = TypeVar("T")

LONG_AGO = (BEGIN - timedelta(days=1)).date()


@pytest.mark.parametrize(
    ("pages", "videos", "at_once"),
    [
        pytest.param(500, 40, 50, id="500-pages-of-40"),
        pytest.param(200_000, 3, 100, marks=pytest.mark.long, id="200000-pages-of-3"),
    ],
)
async def test_every_served_video_ends_in_the_outcome_that_it_must(books: Books, pages: int, videos: int, at_once: int):
    begin = time.perf_counter()
    users, chance = Users(videos, seed=8), random.Random(8)
    kept_back = []
    for some in batched(users.scroll(pages, BEGIN), at_once):
        arriving = [[each for way in some for each in way.before], [each for way in some for each in way.after]]
        await books.act(*arriving[0])
        await step(books, chance)
        await books.serve(*(way.page for way in some))
        await step(books, chance)
        chance.shuffle(arriving[1])
        await books.act(*arriving[1])
        kept_back += [each for way in some for each in way.long_after]
    await books.keep()
    state = await books.state()
    assert (state.balance, state.waiting, state.served) == (0, 0, pages * videos)
    assert {*users.fates} == {*FATES}

    books.time += 2 * WINDOW
    await books.keep()
    assert (await books.state()).by_outcome["pending"] == 0
    for events in batched(kept_back, 1_000):
        await books.act(*events)
    await books.keep()

    assert await books.outcomes() == users.outcomes
    state = await books.state()
    told = Counter(users.outcomes.values())
    assert (state.balance, state.waiting, +Counter(state.by_outcome)) == (0, 0, told)
    judged = dict(state.by_verdict)
    judged["honest"] = judged.pop("tied") + judged.pop("repeated")
    assert judged == dict(users.verdicts)
    await answers_are_what_sql_says(books)
    report(
        "ledger",
        f"{pages:,} served pages of {videos}, {books.database.engine.dialect.name}",
        target="balance 0, every outcome and verdict as it must be",
        met=True,
        balance=state.balance,
        served=state.served,
        words=sum(users.fates.values()),
        mishaps=sum(users.fates.values()) - users.fates["plain"],
        elapsed_s=time.perf_counter() - begin,
        **{fate.replace(" ", "_"): count for fate, count in users.fates.items()},
    )


def batched(things: Iterable[T], size: int) -> Iterator[list[T]]:
    left = iter(things)
    while some := list(islice(left, size)):
        yield some


async def step(books: Books, chance: random.Random) -> None:
    """Lets the ledger do a little, or nothing."""
    for work in chance.sample((books.ledger.take_pages, books.ledger.take_interactions), k=chance.choice((0, 1, 2))):
        await work()


async def answers_are_what_sql_says(books: Books) -> None:
    """Compares every answer with a plain query over the rows."""
    rows = await select(
        books.database,
        "SELECT d.algorithm, count(*), sum(CASE WHEN o.status_after = 'accepted' THEN 1 ELSE 0 END) FROM"
        " recommendation_decisions d LEFT JOIN prediction_outcomes o ON o.recommendation_id = d.recommendation_id"
        " AND o.position = d.position GROUP BY d.algorithm ORDER BY d.algorithm",
    )
    performance = await books.answers.performance(LONG_AGO)
    assert [(each.algorithm, each.acceptance.served, each.acceptance.accepted) for each in performance] == rows
    for algorithm, served, accepted in rows:
        found = await books.answers.acceptance(LONG_AGO, user_id="", algorithm=algorithm)
        assert (found.served, found.accepted) == (served, accepted)
    of_user = await books.answers.acceptance(LONG_AGO, user_id="u7", algorithm="trending")
    rows = await select(
        books.database,
        "SELECT count(*), sum(CASE WHEN o.status_after = 'accepted' THEN 1 ELSE 0 END) FROM recommendation_decisions d,"
        " prediction_outcomes o WHERE o.recommendation_id = d.recommendation_id AND o.position = d.position"
        " AND d.user_id = 'u7' AND d.algorithm = 'trending'",
    )
    assert [(of_user.served, of_user.accepted)] == rows
    assert await by_group(books, "pending", "ignored", "liked", "hidden") == []
    sums = [
        await select(
            books.database, f"SELECT sum(served), sum(liked), sum(ever_consumed), sum(successful) FROM {table}"
        )
        for table in ("outcome_days", "outcome_totals")
    ]
    assert sums[0] == sums[1]


async def by_group(books: Books, *actions: str) -> list[tuple[Any, ...]]:
    """Returns the groups whose totals are not what their rows add up to."""
    counts = " OR ".join(
        f"t.{action} <> (SELECT count(*) FROM prediction_outcomes o WHERE o.group_id = t.group_id"
        f" AND o.user_action = '{action}')"
        for action in actions
    )
    return await select(books.database, f"SELECT t.group_id FROM outcome_totals t WHERE {counts}")


async def select(database: Database, query: str) -> list[tuple[Any, ...]]:
    async with database.read() as connection:
        return [tuple(row) for row in await connection.execute(sa.text(query))]


FAULTS = {
    "sqlite": [
        "CREATE TRIGGER fault BEFORE INSERT ON log_offsets BEGIN SELECT RAISE(ABORT, 'the disk'); END",
        "DROP TRIGGER fault",
    ],
    "postgresql": [
        "ALTER TABLE log_offsets ADD CONSTRAINT fault CHECK (next_offset < 0) NOT VALID",
        "ALTER TABLE log_offsets DROP CONSTRAINT fault",
    ],
}


async def test_a_step_that_fails_at_its_end_leaves_nothing(books: Books):
    broken, mended = FAULTS[books.database.engine.dialect.name]
    await books.serve(page("r1"))
    await books.keep()
    await books.act(event(InteractionType.LIKE))
    before = (await books.state(), await books.rows())
    async with books.database.begin() as connection:
        await connection.execute(sa.text(broken))

    with pytest.raises(LedgerUnavailableError):
        await books.ledger.take_interactions()

    assert (await books.state(), await books.rows()) == before
    async with books.database.begin() as connection:
        await connection.execute(sa.text(mended))
    await books.keep()
    assert (await books.state()).by_verdict == {"tied": 1}
