"""P10: how fast the sink brings a topic into PostgreSQL, beside one bare COPY of the same rows.

The sink reads them from Kafka, parses them, drops what it knows, merges views, adds to trending, and keeps offsets. The
COPY goes into a table with the same indexes, in one transaction, from rows that are in memory.
"""

import asyncio
import random
import statistics
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import asyncpg
import sqlalchemy as sa
from confluent_kafka import Producer

from deploy.local.kafka import LocalKafka
from deploy.local.postgres import LocalPostgres
from eventlog.adapters.consumer_kafka import KafkaConsumer
from eventlog.fake import MemoryLog
from eventlog.topics import INTERACTIONS
from interactions.domain.event import Assignment, InteractionEvent, InteractionType
from interactions.domain.log_record import encode
from interactions.sink.adapters.store_database import DatabaseStore
from interactions.sink.app import collect_rarely
from interactions.sink.ports import BatchWritten, Lag, Step
from interactions.sink.reading import read_event
from interactions.sink.service import Sink
from interactions.system import System
from storage.database import Database, upgrade
from storage.interactions import InteractionRow
from storage.tables import users, videos
from tests.bench import figures
from tests.databases import fresh_postgres_url

# Source: the target P10.
ROWS_A_SECOND: Final = 20_000
OF_COPY: Final = 0.3

EVENTS: Final = 200_000
ROUNDS: Final = 3
USERS: Final = 20_000
VIDEOS: Final = 5_000
COUNTRIES: Final = ("DE", "US", "BR", "IN", "")


def figure(folder: Path, kafka: LocalKafka) -> None:
    """Fills the topic once, then brings it into a new database each round, in turn with the COPY."""
    collect_rarely()  # as the process does
    postgres = LocalPostgres(folder / "postgres-of-the-sink")
    postgres.start()
    try:
        _publish(kafka.bootstrap_servers)
        pairs = [asyncio.run(_round(kafka, fresh_postgres_url(postgres.url))) for _ in range(ROUNDS)]
    finally:
        postgres.stop()
    rows_a_second = statistics.median(mine for mine, _ in pairs)
    ratio = statistics.median(mine / theirs for mine, theirs in pairs)
    figures.show(
        "P10",
        "sink into PostgreSQL, with dedupe, trending and offsets; reference: COPY into the same indexes",
        value=rows_a_second,
        unit="rows/s",
        reference=statistics.median(theirs for _, theirs in pairs),
        ratio=ratio,
        target=f">= {ROWS_A_SECOND} rows/s, >= {OF_COPY} x",
        met=rows_a_second >= ROWS_A_SECOND and ratio >= OF_COPY,
    )


def _publish(bootstrap_servers: str) -> None:
    producer = Producer({"bootstrap.servers": bootstrap_servers, "partitioner": "murmur2_random", "linger.ms": 20})
    for event in _events(random.Random(10)):
        while True:
            try:
                producer.produce(INTERACTIONS, encode(event), key=event.user_id)
                break
            except BufferError:
                producer.poll(0.05)
    assert producer.flush(60) == 0


def _events(chance: random.Random) -> "list[InteractionEvent]":
    """What a feed sends: mostly views within sessions, of videos of which some are far more popular."""
    now = datetime.now(UTC)
    kinds = random.Random(1).choices(tuple(InteractionType), (80, 6, 6, 2, 1, 1, 2, 1, 1), k=EVENTS)
    return [_event(chance, kind, now - timedelta(seconds=chance.uniform(0, 7200))) for kind in kinds]


def _event(chance: random.Random, kind: InteractionType, time: datetime) -> InteractionEvent:
    user = chance.randrange(USERS)
    return InteractionEvent(
        user_id=f"user-{user}",
        video_id=f"video-{min(int(chance.paretovariate(0.7)), VIDEOS)}",
        interaction_type=kind,
        watch_time_s=round(chance.uniform(0, 60), 2) if kind is InteractionType.VIEW else 0.0,
        event_time=time,
        event_id=str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        feed_session_id=f"{user:08x}-{chance.randrange(3)}",
        recommendation_id=f"{chance.getrandbits(64):016x}",
        position=chance.randrange(1, 100),
        algorithm="lightfm-warp",
        recommendation_score=chance.uniform(-2, 2),
        model_version="20250901T020000Z",
        experiments=(Assignment("ranker", chance.choice("ab")),),
        rating=7.0 if kind is InteractionType.RATE else None,
    )


async def _round(kafka: LocalKafka, url: str) -> tuple[float, float]:
    """Returns the rows a second of the sink, and of a COPY of the rows that it wrote."""
    upgrade(url)
    database = Database(url, pool_size=2)
    try:
        await _fill_catalogue(database)
        seconds = await _sink(kafka, database)
        async with database.begin() as connection:
            raw: Any = (await connection.get_raw_connection()).driver_connection
            return EVENTS / seconds, EVENTS / await _copy(raw)
    finally:
        await database.close()


async def _fill_catalogue(database: Database) -> None:
    async with database.begin() as connection:
        user = {"features": {}, "personalised": True}
        made = [user | {"user_id": f"user-{n}", "country": COUNTRIES[n % len(COUNTRIES)]} for n in range(USERS)]
        await connection.execute(users.insert(), made)
        video = {"tags": [], "is_active": True, "duration_s": 30.0}
        await connection.execute(videos.insert(), [video | {"video_id": f"video-{n}"} for n in range(1, VIDEOS + 1)])
        await connection.execute(sa.text("ANALYZE"))


class _Clock:
    """Notes when the first record was polled and when the last event was written."""

    def __init__(self) -> None:
        self.start_s = 0.0
        self.end_s = 0.0
        self.written = 0
        self.done = asyncio.Event()

    def batch_written(self, record: BatchWritten) -> None:
        self.end_s = time.monotonic()
        self.start_s = self.start_s or self.end_s - record.elapsed_s
        self.written += record.written.inserted
        if self.written >= EVENTS:
            self.done.set()

    def lag_measured(self, lag: Lag) -> None:
        """Does nothing."""

    def step_failed(self, step: Step) -> None:
        raise AssertionError(step)


async def _sink(kafka: LocalKafka, database: Database) -> float:
    """Returns how long the sink took, from the first poll that returned something to the last commit, in seconds."""
    group, clock = f"bench-{uuid.uuid4().hex}", _Clock()
    consumer = KafkaConsumer({"bootstrap.servers": kafka.bootstrap_servers}, INTERACTIONS, group)
    sink = Sink(consumer, MemoryLog().publisher(), read_event, DatabaseStore(database, group), clock, System())
    running = asyncio.create_task(sink.run())
    async with asyncio.timeout(300):
        await clock.done.wait()
    sink.stop()
    await running
    await consumer.close()
    return clock.end_s - clock.start_s


async def _copy(connection: "asyncpg.Connection[Any]") -> float:
    """Returns how long one COPY of the same rows takes into a table with the same indexes, in seconds."""
    columns = InteractionRow._fields
    rows: Sequence[Any] = await connection.fetch(
        f"SELECT {', '.join(columns)} FROM user_interactions ORDER BY ingest_time"
    )
    texts = {columns.index(name) for name in ("experiments", "metadata")}
    made = [tuple(_text(value) if place in texts else value for place, value in enumerate(row)) for row in rows]
    await connection.execute("CREATE TABLE reference (LIKE user_interactions INCLUDING ALL)")
    start_s = time.monotonic()
    await connection.copy_records_to_table("reference", columns=columns, records=made)
    return time.monotonic() - start_s


def _text(value: object) -> str | None:
    return None if value is None else '[{"experiment": "ranker", "variant": "a"}]'
