"""Ten million served videos of thirty days, and what they leave in the sums that answers read."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, TypeAlias

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from storage.database import sync_engine
from storage.tables import outcome_countries, outcome_days, outcome_positions
from tests.bench.served_rows import Rows

DECISIONS: Final = 10_000_000
DAYS: Final = 30
PAGE: Final = 20

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
# The first of them are a model's.
_OF_MODEL: Final = 2
# Of the model of the night, of the one before, and of one that is tried on some users.
_MODELS: Final = (0.65, 0.25, 0.1)
# Experiments in three layers with their variants; the share of users that each layer leaves out.
_LAYERS: Final = (("ranker", "ab", 0.0), ("shuffle", "abc", 0.5), ("newcomers", "ab", 0.8))
_COUNTRIES: Final = 60
# Pages of a session: how often each is the one that is served, and how many videos of it lie in which range.
_PAGES: Final = (
    (0.5, {1: 1, 2: 1, 3: 1, 4: 2, 6: 5, 11: 10}),
    (0.2, {21: 20}),
    (0.12, {21: 10, 51: 10}),
    (0.18, {51: 20}),
)
# What becomes of a served video, and how often.
_ENDS: Final = {
    "pending": 0.03,
    "ignored": 0.545,
    "hidden": 0.01,
    "blacklisted": 0.001,
    "rated": 0.004,
    "shared": 0.004,
    "added": 0.006,
    "liked": 0.03,
    "watched": 0.12,
    "consumed": 0.25,
}
_WATCHED_MS: Final = 9_137
_MATCH_PPM: Final = 520_000

# What videos are told apart by, and how many values each has: how a page was made, its model, a variant a layer (the
# last value: none), the user's country, and the range of positions.
_KIND: Final = {"made": 8, "model": 4, "ranker": 3, "shuffle": 4, "newcomers": 3, "country": _COUNTRIES, "position": 52}
_BY_TABLE: Final = {
    outcome_days: ("made", "model", "ranker", "shuffle", "newcomers"),
    outcome_positions: ("made", "position"),
    outcome_countries: ("made", "country"),
}
Whole: TypeAlias = NDArray[np.int64]


def fill(url: str, now: datetime) -> int:
    """Writes the videos and the sums; returns of how many kinds the ledger would say that the videos are."""
    lot, kinds, today = np.random.default_rng(8), 0, now.astimezone(UTC).date()
    engine = sync_engine(url)
    with engine.begin() as connection:
        rows = Rows(connection, now)
        rows.catalogue()
        for number in range(DAYS):
            day, videos = today - timedelta(days=number), _served(lot)
            ends = lot.choice(len(_ENDS), len(videos["made"]), p=[*_ENDS.values()])
            if (
                number
            ):  # only of today's videos may outcomes be open: others would be closed while answers are asked for
                ends[ends == [*_ENDS].index("pending")] = [*_ENDS].index("ignored")
            kinds += len(np.unique(_codes(videos, tuple(_KIND))))
            for table, names in _BY_TABLE.items():
                connection.execute(sa.insert(table), [*_rows(table, names, day, videos, ends)])
            rows.day(day, _pages(day, videos), videos["first"][::PAGE], np.array([*_ENDS])[ends].tolist())
        rows.finish()
    if engine.dialect.name == "postgresql":  # as it does by itself where so many rows came in thirty days
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("VACUUM (ANALYZE)"))
    engine.dispose()
    return kinds


def _served(lot: np.random.Generator) -> dict[str, Whole]:
    """Returns the kinds of the videos of a day; those of a page follow each other."""
    pages = DECISIONS // DAYS // PAGE
    made = lot.choice(len(_MADE), pages, p=[share for *_, share in _MADE])
    by_page = {
        "made": made,
        "model": np.where(made < _OF_MODEL, lot.choice(len(_MODELS), pages, p=_MODELS), len(_MODELS)),
    }
    for name, variants, out in _LAYERS:
        by_page[name] = np.where(lot.random(pages) < out, len(variants), lot.integers(len(variants), size=pages))
    by_page["country"] = np.minimum(lot.zipf(1.5, pages), _COUNTRIES) - 1
    places = np.array([np.repeat([*ranges], [*ranges.values()]) for _, ranges in _PAGES])
    nth = lot.choice(len(_PAGES), pages, p=[share for share, _ in _PAGES])
    by_page["first"] = nth * PAGE + 1
    return {name: np.repeat(values, PAGE) for name, values in by_page.items()} | {"position": places[nth].ravel()}


def _pages(day: date, videos: Mapping[str, Whole]) -> dict[str, list[Any]]:
    """Returns what holds for each page, by column of `recommendation_decisions`."""
    names = ("made", "model", *(name for name, *_ in _LAYERS))
    codes, of = np.unique(_codes({name: videos[name][::PAGE] for name in names}, names), return_inverse=True)
    sizes = [_KIND[name] for name in names]
    kinds = [_key(day, dict(zip(names, map(int, np.unravel_index(code, sizes)), strict=True))) for code in codes]
    columns = {"source": "source_type", **{name: name for name in ("algorithm", "fallback_reason")}}
    told = {column: [kinds[each][name] for each in of] for name, column in columns.items()}
    return told | {name: [kinds[each][name] or None for each in of] for name in ("model_version", "experiments")}


def _codes(videos: Mapping[str, Whole], names: Sequence[str]) -> Whole:
    return np.ravel_multi_index([videos[name] for name in names], [_KIND[name] for name in names])


def _rows(
    table: sa.Table, names: Sequence[str], day: date, videos: Mapping[str, Whole], ends: Whole
) -> Iterator[dict[str, Any]]:
    """Yields the rows of a table for a day; of algorithms and positions, or countries, those that differ in them."""
    codes, of = np.unique(_codes(videos, names), return_inverse=True)
    page = np.arange(len(of)) // PAGE
    pages = np.bincount(np.unique(of * len(of) + page) // len(of))
    counts = np.bincount(of * len(_ENDS) + ends, minlength=len(codes) * len(_ENDS)).reshape(-1, len(_ENDS))
    rows: dict[tuple[Any, ...], Counter[str]] = {}
    for code, count, told in zip(codes.tolist(), pages.tolist(), counts.tolist(), strict=True):
        key = _key(
            day, dict(zip(names, map(int, np.unravel_index(code, [_KIND[name] for name in names])), strict=True))
        )
        by_end = dict(zip(_ENDS, told, strict=True))
        of_key = tuple(key[column.name] for column in table.primary_key)
        rows.setdefault(of_key, Counter()).update({"pages": count, **_sums(by_end)})
    for of_key, sums in rows.items():
        yield {column.name: value for column, value in zip(table.primary_key, of_key, strict=True)} | sums


def _key(day: date, kind: Mapping[str, int]) -> dict[str, Any]:
    source, algorithm, reason, _ = _MADE[kind["made"]]
    model = kind.get("model", len(_MODELS))
    night = day - timedelta(days=model)
    told = [(name, variants[kind[name]]) for name, variants, _ in _LAYERS if kind.get(name, 3) < len(variants)]
    texts = ", ".join(f'{{"variant": "{variant}", "experiment": "{name}"}}' for name, variant in told)
    country = kind.get("country", 0)
    return {
        "day": day,
        "algorithm": algorithm,
        "source": source,
        "fallback_reason": reason,
        "model_version": f"{night:%Y%m%d}T020000000-{model}" if model < len(_MODELS) else "",
        "experiments": f"[{texts}]" if texts else "",
        "country": f"{chr(ord('A') + country // 26)}{chr(ord('A') + country % 26)}",
        "position": kind.get("position"),
    }


def _sums(ends: Mapping[str, int]) -> dict[str, int]:
    served = sum(ends.values())
    added = ends["liked"] + ends["added"] + ends["shared"]
    consumed = added + ends["consumed"] + ends["watched"] + ends["rated"]
    return {
        **ends,
        "served": served,
        "ever_consumed": consumed,
        "ever_added": added,
        "ever_rated": ends["rated"],
        "successful": consumed,
        "watch_time_ms": _WATCHED_MS * consumed,
        "confidence_match_ppm": _MATCH_PPM * (served - ends["pending"]),
    }
