"""What topic, database and export hold, as the ledger takes it: read with plain clients that know the contract."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq
import sqlalchemy as sa
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from storage.database import reading, sync_engine
from storage.tables import trending, user_interactions
from tests.chaos.events import Event, instant
from tests.chaos.ledger import Copy, Row, in_order
from tests.polling import wait_for

TOPIC: Final = "feed.interactions.v1"
READ_BOUND_S: Final = 30.0
# librdkafka hands out less than it is asked for only at the end of this.
READ_EVERY_S: Final = 0.2
BATCH: Final = 20_000

# The contract's names of the columns; those that may be absent are left out where they are null.
NAMES: Final = {
    "user_id": "userId",
    "video_id": "videoId",
    "interaction_type": "interactionType",
    "watch_time_s": "watchTime",
    "event_time": "timestamp",
    "event_id": "eventId",
    "feed_session_id": "feedSessionId",
    "recommendation_id": "recommendationId",
    "position": "position",
    "algorithm": "algorithm",
    "recommendation_score": "recommendationScore",
    "model_version": "modelVersion",
    "experiments": "experiments",
    "rating": "rating",
    "metadata": "metadata",
}


def read_topic(kafka: Mapping[str, str], topic: str = TOPIC) -> list[Copy]:
    """Reads a topic from its oldest record to where it ends now, each partition in order."""
    with _reader(kafka) as consumer:
        ends = _ends(consumer, topic)
        left = {each: (low, high) for each, (low, high) in ends.items() if low < high}
        consumer.assign([TopicPartition(topic, each, low) for each, (low, _) in left.items()])
        return in_order(_until_ends(consumer, {each: high for each, (_, high) in left.items()}))


@contextmanager
def sizing(kafka: Mapping[str, str], topic: str = TOPIC) -> Iterator[Callable[[], int]]:
    """Gives what counts the records of a topic, again and again."""
    with _reader(kafka) as consumer:
        yield lambda: sum(high - low for low, high in _ends(consumer, topic).values())


@contextmanager
def _reader(kafka: Mapping[str, str]) -> Iterator[Consumer]:
    consumer = Consumer({**kafka, "group.id": f"ledger-{uuid.uuid4()}", "enable.auto.commit": "false"})
    try:
        yield consumer
    finally:
        consumer.close()


def _ends(consumer: Consumer, topic: str) -> dict[int, tuple[int, int]]:
    """Returns the oldest offset of each partition, and the one after its newest."""
    # A broker that has just come back may not know a partition yet.
    return wait_for(lambda: _ends_now(consumer, topic), bool)


def _ends_now(consumer: Consumer, topic: str) -> dict[int, tuple[int, int]]:
    partitions = consumer.list_topics(topic, timeout=READ_BOUND_S).topics[topic].partitions
    with suppress(KafkaException):
        return {each: consumer.get_watermark_offsets(TopicPartition(topic, each), READ_BOUND_S) for each in partitions}
    return {}


def _until_ends(consumer: Consumer, ends: dict[int, int]) -> Iterator[Copy]:
    end_s = time.monotonic() + READ_BOUND_S
    while ends:
        messages = consumer.consume(BATCH, READ_EVERY_S)
        end_s = time.monotonic() + READ_BOUND_S if messages else end_s
        assert time.monotonic() < end_s, f"the topic ends before {ends}"
        for message in messages:
            copy = _copy(message)
            yield copy
            if copy.offset + 1 >= ends.get(copy.partition, copy.offset + 2):
                del ends[copy.partition]


def _copy(message: Message) -> Copy:
    error, partition, offset = message.error(), message.partition(), message.offset()
    assert error is None, error
    assert partition is not None
    assert offset is not None
    key, value = message.key() or b"", message.value() or b""
    return Copy(partition, offset, _bytes(key), _bytes(value), message.timestamp()[1])


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


class Table:
    """The table `user_interactions` of a database, and what it made trend.

    Args:
        url: Of the database.
    """

    def __init__(self, url: str) -> None:
        self._engine = sync_engine(url)

    def count(self) -> int:
        """Counts its rows."""
        with reading(self._engine) as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(user_interactions)) or 0

    def ids(self) -> set[str]:
        """Returns the ids of its events."""
        with reading(self._engine) as connection:
            return set(connection.scalars(sa.select(user_interactions.c.event_id)))

    def rows(self) -> Iterator[Row]:
        """Streams its rows."""
        columns = [user_interactions.c[name] for name in NAMES]
        with reading(self._engine) as connection:
            streaming = connection.execution_options(stream_results=True, max_row_buffer=BATCH)
            for row in streaming.execute(sa.select(*columns, user_interactions.c.ingest_time)):
                yield Row(event_of(row._mapping), _milliseconds(row.ingest_time))

    def trending(self) -> float:
        """Sums what it made trend for everybody."""
        with reading(self._engine) as connection:
            total = connection.scalar(sa.select(sa.func.sum(trending.c.weight)).where(trending.c.segment == "global"))
        return float(total or 0.0)

    def close(self) -> None:
        """Closes its connections."""
        self._engine.dispose()


def read_export(folder: Path) -> list[Event]:
    """Reads the parquet export of the trainer."""
    files = sorted(folder.glob("dt=*/*.parquet"))
    rows = [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]
    return [event_of(row | {"metadata": row["metadata"] and dict(row["metadata"])}) for row in rows]


def event_of(columns: Any) -> Event:
    """Returns the event of a row, by the contract's names."""
    event = {told: columns[name] for name, told in NAMES.items() if columns[name] is not None}
    return event | {"timestamp": instant(_milliseconds(event["timestamp"]))}


def _milliseconds(time: datetime) -> int:
    return round(time.timestamp() * 1000)
