"""The ledger on SQLite and PostgreSQL: what the sink writes becomes one outcome a served video."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from insights.domain.ledger import Claim, Verdict
from insights.domain.outcome import Outcome, deed
from interactions.domain.event import InteractionType
from storage import served
from storage.database import Database
from storage.settled import Settled
from storage.tables import feed_cache, outcome_totals, users, videos
from tests.integration.insights.books import BEGIN, WINDOW, Books, event, page, token

VIEW, LIKE, RATE, HIDE = (InteractionType(name) for name in ("VIEW", "LIKE", "RATE", "HIDE"))


def claim(outcome: Outcome = Outcome.RATED, rating: float | None = 8.0, page_id: str = "r1") -> Claim:
    return Claim("", "v1", page_id, "", "", deed(outcome, rating, BEGIN), BEGIN, BEGIN)


async def test_a_served_video_is_pending_and_then_ends_once(books: Books):
    await books.serve(page("r1", ["v1", "v2", "v3"]))
    await books.keep()
    assert await books.outcomes() == {("r1", 1): "pending", ("r1", 2): "pending", ("r1", 3): "pending"}

    await books.act(event(VIEW, watch_time=3.5), event(LIKE, BEGIN + timedelta(minutes=1)))
    books.time += WINDOW
    await books.keep()

    first, _, last = await books.rows()
    group_id = first.pop("group_id")
    assert first == {
        "recommendation_id": "r1",
        "position": 1,
        "user_action": "liked",
        "status_after": "accepted",
        "actions": 2 | 8,
        "rating": None,
        "rated_at": None,
        "watch_time_s": 3.5,
        "confidence": 1.0,
        "was_successful": True,
        "confidence_match": 1.0,
        "created_at": BEGIN,
        "decided_at": books.time,
    }
    assert last["group_id"] != group_id
    assert (last["user_action"], last["status_after"], last["was_successful"]) == ("ignored", "ignored", False)
    assert (last["confidence"], last["confidence_match"]) == (pytest.approx(1 / 3), pytest.approx(2 / 3))


async def test_totals_tell_everything_that_came_with_the_decision(books: Books):
    async with books.database.begin() as connection:
        await connection.execute(
            users.insert(), {"user_id": "u1", "features": {}, "personalised": True, "country": "DE"}
        )
        await connection.execute(videos.insert(), {"video_id": "v1", "tags": [], "is_active": True, "duration_s": 10.0})
    told: dict[str, Any] = {
        "source": "TRENDING",
        "fallbackReason": "DEADLINE",
        "modelVersion": "",
        "algorithm": "trending",
    }
    experiments = [{"experiment": "e1", "variant": "b"}]
    await books.serve(page("r1", ["v1", "v2"], firstPosition=12, experiments=experiments, **told))
    await books.act(event(VIEW, watch_time=9.5), event(RATE, rating=8.0), event(HIDE, video_id="v2"))
    await books.keep()

    async with books.database.read() as connection:
        (row,) = (await connection.execute(sa.select(outcome_totals))).mappings()
    assert {name: value for name, value in row.items() if name not in ("group_id", "experiments") and value != 0} == {
        "day": BEGIN.date(),
        "algorithm": "trending",
        "source": "TRENDING",
        "fallback_reason": "DEADLINE",
        "model_version": "",
        "position": 11,
        "country": "DE",
        "pages": 1,
        "served": 2,
        "rated": 1,
        "hidden": 1,
        "ever_consumed": 1,
        "ever_rated": 1,
        "successful": 1,
        "watch_time_ms": 9500,
        "confidence_match_ppm": 1_500_000,
    }
    assert '"b"' in row["experiments"]


async def test_what_comes_before_its_page_waits_for_it(books: Books):
    by_session: dict[str, Any] = {"recommendation_id": "", "feed_session_id": "s1", "video_id": "v2"}
    await books.act(event(LIKE, served_token=token()), event(VIEW, **by_session))
    await books.keep()
    assert (await books.state()).waiting == 2

    await books.serve(page("r1"))
    await books.keep()
    assert await books.outcomes() == {("r1", 1): "liked", ("r1", 2): "consumed"}
    state = await books.state()
    assert (state.waiting, state.by_verdict) == (0, {"tied": 2})


async def test_what_waits_for_a_page_that_never_comes_is_given_up(books: Books):
    await books.act(event(LIKE))
    await books.keep()
    books.time += WINDOW
    await books.keep()
    state = await books.state()
    assert (state.waiting, state.by_verdict[Verdict.UNKNOWN]) == (0, 1)


async def test_proofs_are_checked(books: Books):
    await books.serve(page("r1"))
    await books.act(
        event(LIKE, served_token=token()),
        event(LIKE, video_id="v2", served_token=token()),
        event(HIDE, user_id="u2", served_token=token()),
        event(HIDE, user_id="u2"),
        event(HIDE, recommendation_id=""),
        event(LIKE, served_token=token()),
    )
    await books.keep()
    assert await books.outcomes() == {("r1", 1): "liked", ("r1", 2): "pending"}
    told = (await books.state()).by_verdict
    assert {name: count for name, count in told.items() if count} == {
        "tied": 1,
        "forged": 2,
        "foreign": 1,
        "untied": 1,
        "repeated": 1,
    }


async def test_what_is_told_late_corrects_what_was_ignored(books: Books):
    await books.serve(page("r1"))
    books.time += 2 * WINDOW
    await books.keep()
    await books.act(event(LIKE, BEGIN + timedelta(hours=1)), event(LIKE, BEGIN + timedelta(days=31), video_id="v2"))
    await books.keep()
    assert await books.outcomes() == {("r1", 1): "liked", ("r1", 2): "ignored"}
    assert (await books.state()).by_verdict[Verdict.LATE] == 1


async def test_tracked_outcomes_follow_the_same_rule(books: Books):
    waits = [await books.ledger.track(claim()) for _ in range(2)]
    await books.keep()
    waits.append(await books.ledger.track(claim()))
    await books.serve(page("r1"))
    await books.keep()
    known = [await books.ledger.track(claim()), *[await books.ledger.track(claim(Outcome.ADDED, None)) for _ in "ab"]]
    foreign = await books.ledger.track(claim()._replace(video_id="v9"))
    await books.keep()

    repeated = Verdict.REPEATED
    assert waits == [Verdict.WAITING, repeated, repeated]
    assert (known, foreign) == ([repeated, Verdict.TIED, repeated], Verdict.FOREIGN)
    first, _ = await books.rows()
    assert (first["user_action"], first["rating"], first["actions"]) == ("rated", 8.0, 16 | 64)
    assert ((await books.state()).by_verdict, (await books.state()).waiting) == ({"tied": 2}, 0)


async def test_a_ledger_begins_with_what_comes_from_then_on(database: Database):
    books = Books(database)
    await books.serve(page("r0"))
    await books.keep()
    await books.serve(page("r1", ["v1"]))
    await books.keep()
    assert await books.outcomes() == {("r1", 1): "pending"}


async def test_two_ledgers_take_turns(books: Books):
    other = Books(books.database)
    await books.serve(*(page(f"r{number}", ["v1"]) for number in range(600)))
    await books.act(*(event(LIKE, recommendation_id=f"r{number}") for number in range(600)))
    await asyncio.gather(books.keep(), other.keep())
    state = await books.state()
    assert (state.served, state.balance, state.by_outcome["liked"]) == (600, 0, 600)
    assert state.by_verdict["tied"] == 600


async def prune(books: Books, now: datetime) -> list[str]:
    """Does what the sink does now and then; returns what is left."""
    async with books.database.begin() as connection:
        await served.prune_pages(connection, now, 10)
        return [*await connection.scalars(sa.select(feed_cache.c.recommendation_id).order_by(feed_cache.c.id))]


async def test_a_page_stays_in_the_cache_until_the_ledger_has_it(books: Books):
    await books.serve(page("r1"))
    await books.serve(page("r2"))
    expired, much_later = BEGIN + timedelta(days=2), BEGIN + timedelta(days=9)

    assert await prune(books, expired) == ["r1", "r2"]
    await books.ledger.take_pages()
    await books.serve(page("r3"))
    await books.serve(page("r4"))
    assert await prune(books, expired) == ["r3", "r4"]
    assert await prune(books, much_later) == ["r4"]


async def test_a_quiet_day_does_not_start_the_numbers_again(books: Books):
    """SQLite gives the number of a deleted last row once more."""
    await books.serve(page("r1", ["v1"]))
    await books.keep()
    await prune(books, BEGIN + timedelta(days=2))
    await books.serve(page("r2", ["v1"]))
    await books.keep()
    assert await books.outcomes() == {("r1", 1): "pending", ("r2", 1): "pending"}


async def test_a_decision_that_is_not_there_is_told(books: Books):
    await books.serve(page("r1"))
    async with books.database.begin() as connection:
        await connection.execute(sa.text("DELETE FROM recommendation_decisions WHERE position = 2"))
    await books.keep()
    assert (await books.state()).by_verdict["missing"] == 1


@pytest.mark.parametrize("database_url", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
async def test_a_row_whose_writer_is_still_at_work_is_not_passed_by(books: Books):
    """PostgreSQL numbers rows before they are committed: the higher one may be there first."""
    rows, row = Settled(feed_cache), _cached
    async with books.database.engine.connect() as slow:
        await slow.execute(feed_cache.insert(), row("slow"))
        async with books.database.begin() as quick:
            await quick.execute(feed_cache.insert(), row("quick"))
        async with books.database.read() as reader:
            assert [await rows.newest_row(reader) for _ in range(3)] == [0, 0, 0]
        await slow.commit()
    async with books.database.read() as reader:
        newest = await rows.newest_row(reader)
        assert newest == await reader.scalar(sa.select(sa.func.max(feed_cache.c.id)))


def _cached(name: str) -> dict[str, object]:
    ids = {"recommendation_id": name, "feed_session_id": "s1", "user_id": "u1"}
    kind = {"algorithm": "a", "source": "LIGHTFM", "fallback_reason": "NONE"}
    times = {"created_at": BEGIN, "expires_at": BEGIN}
    return {**ids, **kind, **times, "first_position": 1, "video_ids": [], "scores": []}
