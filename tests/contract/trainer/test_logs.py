"""Every engine finds in the same files what a plain loop over their rows finds: memory with DuckDB, and Spark."""

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.models.model_bundle import text_table
from trainer.adapters.parquet_files import SCHEMA
from trainer.adapters.parquet_log import LogReader
from trainer.domain.log import DAY_S, InteractionLog, Recent
from trainer.domain.preparation import EXPORT
from trainer.domain.signal import Kind, SignalRules

FIRST_MS: Final = 1_756_684_800_000
DAYS: Final = 4
NOW_S: Final = FIRST_MS / 1000 + DAYS * DAY_S
WEIGHTS: Final = dict(zip(Kind, (0.1, 0.3, 0.7, 1.0, 0.7, 0.7, -0.1, -10.0, 0.7), strict=True))
RULES: Final = SignalRules(WEIGHTS, long_view_s=18.0, half_life_days=2.0)
RECENT: Final = Recent(days=2.0, half_life_days=1.0)
# Of v0 to v4: whole seconds, a fraction that binary numbers only come near to, and none that is known.
DURATIONS: Final = {"v0": 60.0, "v1": 10.0, "v2": 17.3, "v3": 0.0, "v4": -1.0}
# In the catalogue, and in nobody's log.
UNMET: Final = "v5"


class Row(NamedTuple):
    user_id: str
    video_id: str
    interaction_type: str
    watch_time_s: float
    rating: float | None
    time_ms: int


class Found(NamedTuple):
    weight: float
    liked_s: float


Open: TypeAlias = Callable[[Path, int], InteractionLog]

# Few users, videos and times, so that they meet again, at once, and told twice.
ROWS: Final = st.builds(
    Row,
    st.sampled_from(["u", "ü", "u2"]),
    st.sampled_from(list(DURATIONS)),
    st.sampled_from(list(Kind.__members__)),
    st.sampled_from([0.0, 8.9, 9.999, 10.0, 17.2, 17.3, 17.999, 18.0, 60.0, 3600.0]),
    st.none() | st.sampled_from([0.0, 3.0, 3.1, 6.9, 7.0, 10.0]),
    st.sampled_from([FIRST_MS, FIRST_MS + 1, FIRST_MS + 86_400_000 - 1]) | st.integers(FIRST_MS, int(NOW_S * 1000)),
)


def in_memory(path: Path, rows: int) -> InteractionLog:
    reader = LogReader(rows)
    reader.add(path.read_bytes())
    return reader.log()


def write(path: Path, rows: list[Row]) -> None:
    schema = pa.schema([SCHEMA.field(name) for name in EXPORT.columns])
    told = [(*row[:5], datetime.fromtimestamp(row.time_ms // 1000, UTC)) for row in rows]
    columns = [pa.array(column, field.type) for column, field in zip(zip(*told, strict=True), schema, strict=True)]
    times = pa.array([row.time_ms for row in rows], pa.int64()).cast(schema.field("event_time").type)
    pq.write_table(pa.table([*columns[:-1], times], schema=schema), path)


def expected_pairs(rows: list[Row], now_s: float) -> dict[tuple[str, str], Found]:
    found: dict[tuple[str, str], Found] = defaultdict(lambda: Found(0.0, -np.inf))
    for row in rows:
        before, time_s = found[row.user_id, row.video_id], row.time_ms / 1000
        age_days = max(now_s - time_s, 0) / DAY_S
        weight = WEIGHTS[Kind[row.interaction_type]] * share_of(row) * 0.5 ** (age_days / RULES.half_life_days)
        liked_s = time_s if is_like(row) else -np.inf
        found[row.user_id, row.video_id] = Found(before.weight + weight, max(before.liked_s, liked_s))
    return found


def share_of(row: Row) -> float:
    if row.interaction_type == "VIEW":
        whole_s = DURATIONS[row.video_id] if DURATIONS[row.video_id] > 0 else RULES.long_view_s
        return min(row.watch_time_s / whole_s, 1.0)
    if row.interaction_type == "RATE":
        return 0.0 if row.rating is None else float(row.rating >= 7) - float(row.rating <= 3)
    return 1.0


def is_like(row: Row) -> bool:
    rated = row.interaction_type == "RATE" and row.rating is not None and row.rating >= 7
    return rated or is_long(row) or row.interaction_type in ("LIKE", "SHARE", "COMMENT", "FOLLOW")


def is_long(row: Row) -> bool:
    known_s = DURATIONS[row.video_id]
    return row.interaction_type == "VIEW" and row.watch_time_s >= (min(known_s, 18.0) if known_s > 0 else 18.0)


def expected_views(rows: list[Row], now_s: float) -> dict[str, float]:
    views: dict[str, float] = defaultdict(float)
    for row in rows:
        age_days = (now_s - row.time_ms / 1000) / DAY_S
        if is_long(row) and age_days <= RECENT.days:
            views[row.video_id] += 0.5**age_days
    return views


def check(log: InteractionLog, rows: list[Row], now_s: float) -> None:
    """Holds what a log finds to what the loop does."""
    durations = np.array([DURATIONS.get(each.decode(), -1.0) for each in log.video_ids], np.float32)
    pairs = log.pairs(durations, RULES, now_s)
    ids = [
        (log.user_ids[user].decode(), log.video_ids[video].decode())
        for user, video in zip(pairs.user, pairs.video, strict=True)
    ]
    expected = expected_pairs(rows, now_s)
    assert ids == sorted(expected, key=lambda pair: (pair[0].encode(), pair[1].encode())), "each once, in order"
    assert pairs.user.dtype == pairs.video.dtype == np.dtype(np.int32)
    assert pairs.weight == pytest.approx([expected[each].weight for each in ids], rel=1e-6, abs=1e-9)
    liked_s = np.where(np.isnan(pairs.liked_s), -np.inf, pairs.liked_s)
    assert liked_s.tolist() == [expected[each].liked_s for each in ids], "to the millisecond"
    views = expected_views(rows, now_s)
    found = log.recent_views(durations, RULES, RECENT, now_s)
    assert found == pytest.approx([views.get(each.decode(), 0.0) for each in log.video_ids], rel=1e-9)


def middle_ms(rows: list[Row]) -> int:
    """The time of an interaction, so that something is told at the very moment that parts the log."""
    return sorted(row.time_ms for row in rows)[len(rows) // 2]


def joined(log: InteractionLog) -> InteractionLog:
    return log.with_videos(text_table([UNMET, *(each.decode() for each in log.video_ids)]))


def check_times(log: InteractionLog, rows: list[Row]) -> None:
    times = [row.time_ms for row in rows]
    assert (len(log), log.first_s, log.last_s) == (len(rows), min(times) / 1000, max(times) / 1000)
    counts = np.bincount([(each - FIRST_MS) // 86_400_000 for each in times])
    assert (log.daily().counts == np.trim_zeros(counts, "f")).all()


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROWS, min_size=1, max_size=60))
def test_duckdb_finds_what_a_loop_finds(rows: list[Row], tmp_path: Path) -> None:
    write(tmp_path / "rows.parquet", rows)
    log, at_ms = joined(in_memory(tmp_path / "rows.parquet", len(rows))), middle_ms(rows)
    check_times(log, rows)
    check(log, rows, NOW_S)
    check(log.before(at_ms / 1000), [row for row in rows if row.time_ms < at_ms], at_ms / 1000)
    check(log.since(at_ms / 1000), [row for row in rows if row.time_ms >= at_ms], NOW_S)


def a_thousand_rows() -> list[Row]:
    """Every kind at every length watched, with ties to the millisecond, and each tenth row twice."""
    rng = np.random.default_rng(5)
    kinds, watched, ratings = list(Kind.__members__), [0.0, 10.0, 17.3, 18.0, 60.0], [None, 0.0, 3.0, 5.0, 7.0]
    rows = [
        Row(
            f"u{rng.integers(100)}",
            f"v{rng.integers(5)}",
            kinds[number % len(kinds)],
            watched[rng.integers(5)],
            ratings[rng.integers(5)],
            FIRST_MS + int(rng.integers(DAYS * 24)) * 3_600_000 + int(rng.integers(2)),
        )
        for number in range(900)
    ]
    return [*rows, *rows[::10]]


def test_duckdb_finds_in_a_thousand_rows_what_a_loop_finds(tmp_path: Path) -> None:
    rows = a_thousand_rows()
    write(tmp_path / "rows.parquet", rows)
    check(in_memory(tmp_path / "rows.parquet", len(rows)), rows, NOW_S)


def test_spark_finds_what_a_loop_finds_and_duckdb_the_same(spark: Any, tmp_path: Path) -> None:
    from trainer.adapters.log_spark import spark_log  # noqa: PLC0415  # only where there is Spark

    rows = a_thousand_rows()
    paths = [tmp_path / "part-00000.parquet", tmp_path / "part-00001.parquet"]
    write(paths[0], rows[:400])
    write(paths[1], rows[400:])
    log = spark_log(spark, [str(path) for path in paths])
    check_times(log, rows)
    at_ms, until_ms = middle_ms(rows), max(row.time_ms for row in rows)
    part = joined(log.since(at_ms / 1000).before(until_ms / 1000))
    check(part, [row for row in rows if at_ms <= row.time_ms < until_ms], NOW_S)
    write(tmp_path / "whole.parquet", rows)
    held = in_memory(tmp_path / "whole.parquet", len(rows))
    assert (log.user_ids == held.user_ids).all()
    durations = np.array([DURATIONS[each.decode()] for each in held.video_ids], np.float32)
    there, here = (each.pairs(durations, RULES, NOW_S) for each in (log, held))
    assert (there.user.tolist(), there.video.tolist()) == (here.user.tolist(), here.video.tolist())
    assert there.weight == pytest.approx(here.weight, rel=1e-12, abs=1e-15)
    assert np.array_equal(there.liked_s, here.liked_s, equal_nan=True)
