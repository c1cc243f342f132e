"""Writes a simulated catalogue and log into the database."""

import time
from collections.abc import Callable
from datetime import datetime
from itertools import islice
from typing import Final

import sqlalchemy as sa

from interactions.bulk import loader, trending
from interactions.bulk.report import Summary
from interactions.bulk.rows import Row
from interactions.bulk.simulation import Simulation, Size

_ROWS_AT_A_TIME: Final = 50_000


def seed_database(engine: sa.Engine, size: Size, seed: int, until: datetime, on_rows: Callable[[int], None]) -> Summary:
    """Writes users, videos and their log; what is there already stays.

    Args:
        engine: The database, migrated.
        size: How much to make.
        seed: Chooses among the worlds.
        until: When the log ends, UTC.
        on_rows: Told how many interactions have been written.
    """
    started = time.monotonic()
    loader.widen_cache(engine)
    simulation = Simulation(size, seed, until)
    summary = Summary(f"SIMULATED data (seed {seed}, until {until:%Y-%m-%d %H:%M:%S} UTC): nobody watched this")
    _insert(engine, summary, loader.VIDEOS, simulation.video_rows())
    _insert(engine, summary, loader.USERS, simulation.user_rows())
    rows = simulation.interaction_rows()
    while chunk := list(islice(rows, _ROWS_AT_A_TIME)):
        _insert(engine, summary, loader.INTERACTIONS, chunk)
        on_rows(len(chunk))
    with engine.begin() as connection:
        buckets = trending.rebuild(connection)
    summary.add("trending", buckets, buckets)
    summary.elapsed_s = time.monotonic() - started
    return summary


def _insert(engine: sa.Engine, summary: Summary, target: loader.Target, rows: list[Row]) -> None:
    with engine.begin() as connection:
        written = loader.insert_rows(connection, target, rows)
    summary.add(target.table.name, len(rows), written)
