"""A ledger with fifty days on it, and what a plain query over the facts says of them."""

import random
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from interactions.domain.event import InteractionType
from storage.tables import users, videos
from tests.integration.insights.books import Books, event, page

COUNTRIES: Final = ("DE", "FR", "")
ALGORITHMS: Final = ("lightfm-warp", "trending", "user-knn")

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


async def live(books: Books, until: datetime) -> None:
    """Lets three users have fifty days; of the last one some outcomes are still open."""
    chance = random.Random(8)
    async with books.database.begin() as connection:
        for number, country in enumerate(COUNTRIES):
            row = {"user_id": f"u{number}", "features": {}, "personalised": True, "country": country}
            await connection.execute(users.insert(), row)
        await connection.execute(videos.insert(), {"video_id": "v0", "tags": [], "is_active": True, "duration_s": 9.0})
    for begun in range(0, 240, 60):
        served, acted = [], []
        for number in range(begun, begun + 60):
            name, user_id, time = f"r{number}", f"u{number % 3}", until - timedelta(hours=chance.randrange(1_200))
            count = chance.randint(1, 9)
            fields = {**_random_fields(chance), "userId": user_id, "firstPosition": chance.choice((1, 2, 3, 9, 48))}
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


def _random_fields(chance: random.Random) -> dict[str, Any]:
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
        rows = [dict(row) for row in (await connection.execute(sa.text(query))).mappings()]
    return {(row["part"], str(row["day"])): _told(row) for row in rows}


def _told(row: Mapping[str, Any]) -> dict[str, Any]:
    counts = ("pages", "served", "consumed", "added", "rated", "pending", "accepted")
    return {
        **{name: row[name] for name in counts},
        "acceptance_rate": row["accepted"] / row["served"],
        # Of whole milliseconds, as all that was told is.
        "watch_time_per_page_s": round(row["watch_time_s"] * 1_000) / 1_000 / row["pages"],
        **{name: row[name] and float(row[name]) for name in ("success_rate", "confidence_match")},
    }
