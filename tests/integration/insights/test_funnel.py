"""Every answer about days is what a plain query over the facts says, however the days came to be."""

import random
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from itertools import product
from typing import Any, Final

import pytest
import sqlalchemy as sa
from google.protobuf.timestamp_pb2 import Timestamp

from feed.insights.v1 import outcomes_pb2 as pb
from insights.service import OutcomeService
from interactions.domain.event import InteractionType
from storage.tables import outcome_countries, outcome_days, outcome_positions, outcome_totals, users, videos
from tests.integration.insights.books import BEGIN, Books, event, page
from tests.migrations import made_anew

COUNTRIES: Final = ("DE", "FR", "")
ALGORITHMS: Final = ("lightfm-warp", "trending", "user-knn")
SPLITS: Final = [pb.SplitBy.Name(number) for number in sorted(pb.SplitBy.values())]

# The actions that count, by their bits: consumed, watched, liked, added, shared, rated; the middle three; rated.
FACTS: Final = """
SELECT {part} AS part, {day} AS day, count(DISTINCT d.recommendation_id) AS pages, count(*) AS served,
 sum(CASE WHEN o.actions & 126 <> 0 THEN 1 ELSE 0 END) AS consumed,
 sum(CASE WHEN o.actions & 56 <> 0 THEN 1 ELSE 0 END) AS added,
 sum(CASE WHEN o.actions & 64 <> 0 THEN 1 ELSE 0 END) AS rated,
 sum(CASE WHEN o.user_action = 'pending' THEN 1 ELSE 0 END) AS pending,
 sum(CASE WHEN o.status_after = 'accepted' THEN 1 ELSE 0 END) AS accepted,
 sum(o.watch_time_s) AS watch_time_s, avg(CASE WHEN o.was_successful THEN 1.0 WHEN NOT o.was_successful THEN 0.0 END)
 AS success_rate, avg(o.confidence_match) AS confidence_match
FROM recommendation_decisions d JOIN prediction_outcomes o
 ON o.recommendation_id = d.recommendation_id AND o.position = d.position
 JOIN users u ON u.user_id = d.user_id {also}
WHERE {when} BETWEEN '{since}' AND '{until}' AND '{algorithm}' IN ('', d.algorithm) GROUP BY 1, 2
"""
PARTS: Final = {
    "SPLIT_BY_UNSPECIFIED": "''",
    "ALGORITHM": "d.algorithm",
    "SOURCE": "d.source_type",
    "POSITION": "CASE WHEN d.position < 4 THEN CAST(d.position AS VARCHAR(1)) WHEN d.position < 6 THEN '4-5'"
    " WHEN d.position < 11 THEN '6-10' WHEN d.position < 21 THEN '11-20' WHEN d.position < 51 THEN '21-50'"
    " ELSE '51-' END",
    "MODEL_VERSION": "coalesce(d.model_version, '')",
    "COUNTRY": "u.country",
    "FALLBACK_REASON": "d.fallback_reason",
}
# What the two databases do not spell alike.
DIALECTS: Final = {
    "sqlite": {
        "day": "date(d.created_at)",
        "VARIANT": "e.value ->> 'experiment' || '=' || (e.value ->> 'variant')",
        "also": "JOIN json_each(d.experiments) e",
    },
    "postgresql": {
        "day": "CAST(timezone('UTC', d.created_at) AS date)",
        "VARIANT": "(e ->> 'experiment') || '=' || (e ->> 'variant')",
        "also": "CROSS JOIN LATERAL jsonb_array_elements(d.experiments) AS e",
    },
}


@pytest.fixture
async def lived(books: Books) -> Books:
    """A ledger that has seen fifty days of three users; of the last day some outcomes are still open."""
    chance = random.Random(8)
    async with books.database.begin() as connection:
        for number, country in enumerate(COUNTRIES):
            row = {"user_id": f"u{number}", "features": {}, "personalised": True, "country": country}
            await connection.execute(users.insert(), row)
        await connection.execute(videos.insert(), {"video_id": "v0", "tags": [], "is_active": True, "duration_s": 9.0})
    for begun in range(0, 240, 60):
        served, acted = [], []
        for number in range(begun, begun + 60):
            name, user_id, time = f"r{number}", f"u{number % 3}", BEGIN - timedelta(hours=chance.randrange(1_200))
            count = chance.randint(1, 9)
            fields = {**random_fields(chance), "userId": user_id, "firstPosition": chance.choice((1, 2, 3, 9, 48))}
            served.append(page(name, [f"v{place}" for place in range(count)], time, **fields))
            acted += [
                event(
                    InteractionType(kind),
                    time + timedelta(hours=1),
                    user_id=user_id,
                    recommendation_id=name,
                    video_id=f"v{chance.randrange(count)}",
                    watch_time=chance.randrange(9_000) / 1_000 if kind == "VIEW" else 0.0,
                    rating=chance.randint(0, 10) if kind == "RATE" else None,
                )
                for kind in chance.choices(("VIEW", "LIKE", "SHARE", "RATE", "HIDE", "SKIP"), k=chance.randrange(6))
            ]
        await books.serve(*served)
        await books.keep()
        await books.act(*acted)
        await books.keep()
    return books


def random_fields(chance: random.Random) -> dict[str, Any]:
    source = chance.choice(("LIGHTFM", "TRENDING"))
    named = (("shuffle", "ab"), ("a longer name of an experiment", "xyz"))
    return {
        "algorithm": chance.choice(ALGORITHMS),
        "source": source,
        "fallbackReason": "NONE" if source == "LIGHTFM" else chance.choice(("DEADLINE", "OVERLOAD")),
        "modelVersion": chance.choice(("m1", "m2")) if source == "LIGHTFM" else "",
        "experiments": [
            {"experiment": name, "variant": chance.choice(variants)}
            for name, variants in named
            if chance.random() < 0.6
        ],
    }


async def test_the_funnel_is_what_sql_says(lived: Books):
    service, until = OutcomeService(lived.ledger, lived.answers, lambda: lived.time), BEGIN.date() - timedelta(days=1)
    for split, algorithm, days in product(SPLITS, ("", "trending", "of nobody"), (0, 29, 60)):
        since = until - timedelta(days=days)
        asked = pb.GetFunnelRequest(split_by=split, algorithm=algorithm, since=at(since), until=at(until))
        answer = await service.get_funnel(asked)
        everything = await facts(lived, "SPLIT_BY_UNSPECIFIED", since, until, algorithm)
        assert (
            answer.total == pb.Funnel() if algorithm == "of nobody" else everything == {("", ""): figures(answer.total)}
        )
        expected = await facts(lived, split, since, until, algorithm) if split != SPLITS[0] else {}
        assert {(part.name, ""): figures(part.funnel) for part in answer.parts} == expected


async def test_trends_are_what_sql_says(lived: Books):
    service = OutcomeService(lived.ledger, lived.answers, lambda: lived.time)
    for split, days in product(SPLITS, (7, 30)):
        await trends_are_what_sql_says(lived, service, split, days)


async def trends_are_what_sql_says(lived: Books, service: OutcomeService, split: str, days: int) -> None:
    until = BEGIN.date()
    since = until - timedelta(days=days - 1)
    answer = await service.get_trends(pb.GetTrendsRequest(split_by=split, since=at(since)))
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


async def facts(
    books: Books, split: str, since: date, until: date, algorithm: str, *, by_day: bool = False
) -> dict[tuple[str, str], dict[str, Any]]:
    """Returns the figures of each part, and of its days."""
    spelled = DIALECTS[books.database.engine.dialect.name]
    query = FACTS.format(
        part=PARTS.get(split) or spelled[split],
        day=spelled["day"] if by_day else "''",
        also=spelled["also"] if split == "VARIANT" else "",
        when=spelled["day"],
        since=since,
        until=until,
        algorithm=algorithm,
    )
    async with books.database.read() as connection:
        rows = (await connection.execute(sa.text(query))).mappings().all()
    return {(row["part"], str(row["day"])): told(row) for row in rows}


def told(row: Mapping[str, Any]) -> dict[str, Any]:
    counts = ("pages", "served", "consumed", "added", "rated", "pending", "accepted")
    return {
        **{name: row[name] for name in counts},
        "acceptance_rate": row["accepted"] / row["served"],
        "watch_time_per_page_s": pytest.approx(row["watch_time_s"] / row["pages"]),
        **{name: about(row[name]) for name in ("success_rate", "confidence_match")},
    }


def about(mean: Any) -> Any:
    return None if mean is None else pytest.approx(float(mean), abs=1e-6)


def figures(funnel: pb.Funnel) -> dict[str, Any]:
    absent = [name for name in ("success_rate", "confidence_match") if not funnel.HasField(name)]
    return {field.name: getattr(funnel, field.name) for field in funnel.DESCRIPTOR.fields} | dict.fromkeys(absent)
