"""What ten million served videos of thirty days leave in the ledger's sums, without the videos themselves."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from storage.database import sync_engine
from storage.tables import outcome_countries, outcome_days, outcome_positions, outcome_totals

DECISIONS: Final = 10_000_000
DAYS: Final = 30
PAGE: Final = 20

_ROWS_AT_A_TIME: Final = 20_000
# Source, algorithm and reason of a page, and how often.
_MADE: Final = (
    ("LIGHTFM", "lightfm-warp", "NONE", 0.74),
    ("LIGHTFM", "user-knn", "NONE", 0.14),
    ("TRENDING", "trending", "NONE", 0.04),
    ("TRENDING", "trending", "EMPTY_RANKING", 0.04),
    ("TRENDING", "trending", "DEADLINE", 0.015),
    ("TRENDING", "trending", "CIRCUIT_OPEN", 0.01),
    ("TRENDING", "trending", "OVERLOAD", 0.005),
    ("EDITORIAL", "editorial", "EMPTY_RANKING", 0.01),
)
# Of the model of the night, of the one before, and of one that is tried on some users.
_MODELS: Final = (0.65, 0.25, 0.1)
# Experiments in three layers with their variants; the share of users that each layer leaves out.
_LAYERS: Final = ((("ranker", "ab"), 0.0), (("shuffle", "abc"), 0.5), (("newcomers", "ab"), 0.8))
_COUNTRIES: Final = 60
# Pages of a session: how often each is the one that is served, and how many videos of it lie in which range.
_PAGES: Final = (
    (0.5, {1: 1, 2: 1, 3: 1, 4: 2, 6: 5, 11: 10}),
    (0.2, {21: 20}),
    (0.12, {21: 10, 51: 10}),
    (0.18, {51: 20}),
)
# What becomes of a served video: the share of each outcome, of what the ones before have left.
_ENDS: Final = {
    "pending": 0.03,
    "hidden": 0.01,
    "blacklisted": 0.001,
    "rated": 0.004,
    "shared": 0.004,
    "added": 0.006,
    "liked": 0.03,
    "watched": 0.12,
    "consumed": 0.25,
}
_MATCH_PPM: Final = 520_000


def fill(url: str, today: date) -> int:
    """Writes the sums; returns of how many kinds served videos were."""
    rows = [*_totals(today)]
    engine = sync_engine(url)
    with engine.begin() as connection:
        _insert(connection, rows)
        for table in (outcome_days, outcome_positions, outcome_countries):
            connection.execute(_added_up(table))
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text("ANALYZE"))
    engine.dispose()
    return len(rows)


def _totals(today: date) -> Iterator[tuple[Any, ...]]:
    """Yields rows of `outcome_totals`, in the order of its columns."""
    lot = np.random.default_rng(8)
    for number in range(DAYS):
        pages = DECISIONS // DAYS // PAGE
        made = lot.choice(len(_MADE), pages, p=[share for *_, share in _MADE])
        model = lot.choice(len(_MODELS), pages, p=_MODELS)
        variants = [_variants(lot, len(of), out, pages) for (_, of), out in _LAYERS]
        country = np.minimum(lot.zipf(1.5, pages), _COUNTRIES) - 1
        place = lot.choice(len(_PAGES), pages, p=[share for share, _ in _PAGES])
        kinds, pages_of = np.unique(
            np.column_stack([made, model, *variants, country, place]), axis=0, return_counts=True
        )
        day = today - timedelta(days=number)
        yield from _rows_of(lot, day, kinds, pages_of)


def _variants(lot: np.random.Generator, count: int, left_out: float, pages: int) -> NDArray[np.int64]:
    """Returns the variant of each page, -1 for those of whom the layer has none."""
    return np.where(lot.random(pages) < left_out, -1, lot.integers(count, size=pages))


def _rows_of(
    lot: np.random.Generator, day: date, kinds: NDArray[np.int64], pages: NDArray[np.int64]
) -> Iterator[tuple[Any, ...]]:
    sums: dict[tuple[Any, ...], list[int]] = {}
    for (made, model, *variants, country, place), count in zip(kinds.tolist(), pages.tolist(), strict=True):
        source, algorithm, reason, _ = _MADE[made]
        version = f"{day - timedelta(days=model):%Y%m%d}T020000000-{model}" if source == "LIGHTFM" else ""
        kind = (day, algorithm, source, reason, version, _told(variants))
        for position, videos in _PAGES[place][1].items():
            held = sums.setdefault((*kind, position, f"{chr(65 + country // 26)}{chr(65 + country % 26)}"), [0, 0])
            held[0] += count
            held[1] += count * videos
    for kind, (count, served) in sums.items():
        yield (*kind, *_counts(lot, count, served))


def _told(variants: Sequence[int]) -> str:
    """Returns the experiments of a page as PostgreSQL writes them."""
    names = [(name, of[variant]) for ((name, of), _), variant in zip(_LAYERS, variants, strict=True) if variant >= 0]
    told = ", ".join(f'{{"variant": "{variant}", "experiment": "{name}"}}' for name, variant in names)
    return f"[{told}]" if told else ""


def _counts(lot: np.random.Generator, pages: int, served: int) -> tuple[int, ...]:
    left, ends = served, dict.fromkeys(_ENDS, 0)
    for name, share in _ENDS.items():
        ends[name] = int(lot.binomial(left, share))
        left -= ends[name]
    added = ends["liked"] + ends["added"] + ends["shared"]
    consumed = added + ends["consumed"] + ends["watched"] + ends["rated"]
    facts = {
        **ends,
        "pages": pages,
        "served": served,
        "ignored": left,
        "ever_consumed": consumed,
        "ever_added": added,
        "ever_rated": ends["rated"],
        "successful": consumed,
        "watch_time_ms": 9_137 * consumed,
        "confidence_match_ppm": _MATCH_PPM * (served - ends["pending"]),
    }
    return tuple(facts[name] for name in _COUNTS)


_KEY: Final = (*outcome_days.primary_key.columns.keys(), "position", "country")
_COUNTS: Final = tuple(column.name for column in outcome_days.c if not column.primary_key)


def _insert(connection: sa.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    names = (*_KEY, *_COUNTS)
    if connection.dialect.name == "sqlite":
        for begin in range(0, len(rows), _ROWS_AT_A_TIME):
            some = [dict(zip(names, row, strict=True)) for row in rows[begin : begin + _ROWS_AT_A_TIME]]
            connection.execute(sa.insert(outcome_totals), some)
        return
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(f"COPY outcome_totals ({', '.join(names)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _added_up(table: sa.Table) -> sa.Insert:
    """Returns what fills a table from the totals; a page has as many videos as any other."""
    key = [outcome_totals.c[name] for name in table.primary_key.columns.keys()]  # noqa: SIM118  # no dict
    sums = {name: sa.func.sum(outcome_totals.c[name]) for name in _COUNTS}
    if table is not outcome_positions:
        sums["pages"] = sa.func.sum(outcome_totals.c.served) / PAGE
    rows = sa.select(*key, *sums.values()).group_by(*key)
    return sa.insert(table).from_select([*(column.name for column in key), *sums], rows)
