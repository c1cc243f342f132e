"""Every answer about days is what a plain query over the facts says, however the days came to be."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from itertools import product
from typing import Any, Final

import pytest
import sqlalchemy as sa
from google.protobuf.timestamp_pb2 import Timestamp

from feed.insights.v1 import outcomes_pb2 as pb
from insights.service import OutcomeService
from storage.tables import outcome_countries, outcome_days, outcome_positions, outcome_totals
from tests.integration.insights.books import BEGIN, Books
from tests.integration.insights.lived import facts, live
from tests.migrations import made_anew

SPLITS: Final = [pb.SplitBy.Name(number) for number in sorted(pb.SplitBy.values())]


@pytest.fixture
async def lived(books: Books) -> Books:
    """A ledger with a past."""
    await live(books, BEGIN)
    return books


async def test_the_funnel_is_what_sql_says(lived: Books):
    service, until = OutcomeService(lived.ledger, lived.answers, lambda: lived.time), BEGIN.date() - timedelta(days=1)
    for split, algorithm, days in product(SPLITS, ("", "trending", "of nobody"), (0, 29, 60)):
        since = until - timedelta(days=days)
        asked = pb.GetFunnelRequest(
            split_by=pb.SplitBy.Value(split), algorithm=algorithm, since=at(since), until=at(until)
        )
        answer = await service.get_funnel(asked)
        everything = await facts(lived, "SPLIT_BY_UNSPECIFIED", since, until, algorithm)
        assert everything == ({("", ""): figures(answer.total)} if answer.total.served else {})
        assert bool(everything) is (algorithm != "of nobody")
        expected = await facts(lived, split, since, until, algorithm) if split != SPLITS[0] else {}
        assert {(part.name, ""): figures(part.funnel) for part in answer.parts} == expected


async def test_trends_are_what_sql_says(lived: Books):
    service = OutcomeService(lived.ledger, lived.answers, lambda: lived.time)
    for split, days in product(SPLITS, (7, 30)):
        await trends_are_what_sql_says(lived, service, split, days)


async def trends_are_what_sql_says(lived: Books, service: OutcomeService, split: str, days: int) -> None:
    until = BEGIN.date()
    since = until - timedelta(days=days - 1)
    answer = await service.get_trends(pb.GetTrendsRequest(split_by=pb.SplitBy.Value(split), since=at(since)))
    expected = await facts(lived, split, since, until, "", by_day=True)
    whole = [(since + timedelta(days=number)).isoformat() for number in range(days)]
    assert [[day.day for day in trend.days] for trend in answer.trends] == [whole for _ in answer.trends]
    told = {(trend.name, day.day): day.funnel for trend in answer.trends for day in trend.days}
    assert {key: figures(funnel) for key, funnel in told.items() if funnel.served} == expected
    assert all(funnel == pb.Funnel() for key, funnel in told.items() if key not in expected)
    assert len(expected) > 3


async def test_all_sums_are_made_anew_from_the_ledger(lived: Books, database_url: str):
    """What the ledger wrote step by step is what the migration counts at once, when it finds a ledger that is older."""
    before = [await sums(lived, table) for table in TABLES]
    made_anew(database_url, "0010")
    assert [await sums(lived, table) for table in TABLES] == before


TABLES: Final = (outcome_totals, outcome_days, outcome_positions, outcome_countries)


async def sums(books: Books, table: sa.Table) -> Sequence[Mapping[str, Any]]:
    async with books.database.read() as connection:
        keys = [column for column in table.c if not isinstance(column.type, sa.BigInteger)]
        return [dict(row) for row in (await connection.execute(sa.select(table).order_by(*keys))).mappings()]


def at(day: date) -> Timestamp:
    time = Timestamp()
    time.FromJsonString(f"{day.isoformat()}T13:00:00Z")
    return time


def figures(funnel: pb.Funnel) -> Any:
    """Returns what must be in a row of facts; milliseconds and millionths are whole in the sums."""
    absent = [name for name in ("success_rate", "confidence_match") if not funnel.HasField(name)]
    told = {field.name: getattr(funnel, field.name) for field in funnel.DESCRIPTOR.fields} | dict.fromkeys(absent)
    return pytest.approx(told, abs=1e-6)
