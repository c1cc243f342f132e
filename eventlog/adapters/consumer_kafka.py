"""Reads a topic of Apache Kafka from offsets that the reader keeps itself.

All partitions are assigned by hand, without a consumer group's rebalancing: a reader that was killed starts
again at once, where the group would hold its partitions back until the session timed out (45 s). Two readers
at a time would read everything twice, which is harmless where rows are unique.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import structlog
from confluent_kafka import OFFSET_BEGINNING, OFFSET_INVALID, Consumer, KafkaError, KafkaException, TopicPartition

from eventlog.adapters.kafka_probe import Probe
from eventlog.ports import ConsumeError, Offsets, Partition, StoredRecord

_LOG = structlog.get_logger(__name__)

CONSUMER_CONFIG: Final[Mapping[str, Any]] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "earliest",
    "isolation.level": "read_committed",
    "allow.auto.create.topics": False,
    "reconnect.backoff.max.ms": 1_000,
    "socket.keepalive.enable": True,
    # Fetched ahead of the reader; the default of 64 MiB is more than the rest of the process needs.
    "queued.max.messages.kbytes": 16_384,
}

# How often new partitions are looked for.
_REFRESH_S: Final = 30.0

ResultT = TypeVar("ResultT")


class KafkaConsumer:
    """Reads all partitions of one topic.

    Args:
        config: Connection part of a librdkafka configuration.
        topic: Name of the topic.
        group: Name of the reader, under which its progress shows in Kafka's tools.
        on_authentication_failure: Called, from another thread, each time a broker refuses the credentials.
    """

    def __init__(
        self,
        config: Mapping[str, str],
        topic: str,
        group: str,
        *,
        on_authentication_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self._config = {**CONSUMER_CONFIG, **config, "group.id": group, "error_cb": self._on_error}
        self._topic = topic
        self._on_authentication_failure = on_authentication_failure
        self._probe = Probe((topic,))
        # librdkafka blocks; one thread keeps its calls in order.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kafka_consume")
        self._consumer: Consumer | None = None
        self._assigned: dict[int, int] = {}
        self._refresh_at = 0.0

    async def start(self, offsets: Offsets) -> None:
        """Notes where to begin; partitions are assigned as soon as the broker names them."""
        self._start = dict(offsets)
        self._consumer = Consumer(self._config, logger=logging.getLogger("eventlog.librdkafka"))

    async def poll(self, max_records: int, timeout_s: float) -> list[StoredRecord]:
        """Returns the next records, those of one partition in order."""
        return await self._run(lambda: self._poll(max_records, timeout_s))

    async def commit(self, offsets: Offsets) -> None:
        """Shows the progress in Kafka's tools; where to begin next time is in the reader's own database."""
        await self._run(lambda: self._commit(offsets))

    async def lag(self) -> int | None:
        """Returns how far the committed offsets are behind the ends that the last fetches told."""
        return await self._run(self._lag)

    def not_ready(self) -> str | None:
        """Says what is wrong with the broker, the credentials or the topic."""
        return self._probe.problem

    async def close(self) -> None:
        """Closes the connection and the thread."""
        if self._consumer is not None:
            await self._run(self._consumer.close)
        self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[[], ResultT]) -> ResultT:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    @property
    def _client(self) -> Consumer:
        if self._consumer is None:
            raise ConsumeError("not started")
        return self._consumer

    def _poll(self, max_records: int, timeout_s: float) -> list[StoredRecord]:
        if time.monotonic() >= self._refresh_at:
            self._refresh()
        # `consume` alone would wait for max_records or the whole timeout.
        first = self._client.poll(timeout_s)
        if first is None:
            return []
        messages = [first, *self._client.consume(max_records - 1, 0)]
        errors = [error.name() for message in messages if (error := message.error())]
        found = [_stored(message) for message in messages if message.error() is None]
        if errors and not found:
            raise ConsumeError(f"Kafka answers {errors[0]}")
        return found

    def _refresh(self) -> None:
        """Assigns partitions that are not assigned yet, and finds out whether all is well."""
        self._probe.run(self._client)
        if self._probe.problem is None:
            count = len(self._client.list_topics(self._topic, timeout=_REFRESH_S).topics[self._topic].partitions)
            new = {
                number: self._start.get(Partition(self._topic, number), OFFSET_BEGINNING)
                for number in range(count)
                if number not in self._assigned
            }
            if new:
                self._client.incremental_assign(self._places(new))
                self._assigned.update(new)
        self._refresh_at = time.monotonic() + (self._probe.pause_s if self._probe.problem else _REFRESH_S)

    def _commit(self, offsets: Offsets) -> None:
        mine = {number: offset for (topic, number), offset in offsets.items() if topic == self._topic}
        self._assigned.update(mine)
        try:
            self._client.commit(offsets=self._places(mine), asynchronous=True)
        except KafkaException as error:
            _LOG.info("eventlog.commit_not_shown", error=str(error))

    def _lag(self) -> int | None:
        lag = 0
        for number, next_offset in self._assigned.items():
            low, high = self._client.get_watermark_offsets(TopicPartition(self._topic, number), cached=True)
            if high == OFFSET_INVALID:
                return None
            lag += max(0, high - max(next_offset, low))
        return lag if self._assigned else None

    def _places(self, offsets: Mapping[int, int]) -> list[TopicPartition]:
        return [TopicPartition(self._topic, number, offset) for number, offset in offsets.items()]

    def _on_error(self, error: KafkaError) -> None:
        if error.code() == KafkaError._AUTHENTICATION:  # noqa: SLF001  # public in librdkafka
            self._on_authentication_failure()
        if self._probe.suspect(error):
            self._refresh_at = 0.0
            _LOG.warning("eventlog.kafka_error", error=error.name(), detail=error.str())


def _stored(message: Any) -> StoredRecord:
    return StoredRecord(
        topic=message.topic(),
        partition=message.partition(),
        offset=message.offset(),
        key=(message.key() or b"").decode(errors="surrogateescape"),
        value=message.value() or b"",
        headers=tuple((name, value or b"") for name, value in message.headers() or ()),
        append_time_ms=message.timestamp()[1],
    )
