"""Reads a topic of Apache Kafka as a member of a consumer group, from offsets that the reader keeps itself.

The group says which partitions a reader has, the reader's own database where to go on in them: rows and offsets that
commit together cannot disagree, whatever the group thinks. Membership is cooperative (only the partitions that move
stop) and static where a reader has a name: one that is started again within the session timeout has its partitions
back at once, without a rebalance.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

import structlog
from confluent_kafka import OFFSET_BEGINNING, OFFSET_INVALID, Consumer, KafkaError, KafkaException, TopicPartition

from eventlog.adapters.calling_thread import CallingThread
from eventlog.adapters.kafka_credentials import Credentials, FixedCredentials
from eventlog.adapters.kafka_probe import Probe
from eventlog.ports import ConsumeError, FindOffsets, Offsets, Partition, StoredRecord
from eventlog.telemetry import NoTelemetry, Telemetry

_LOG = structlog.get_logger(__name__)

# Longest wait for the connection to close: leaving the group takes some milliseconds.
_CLOSE_S: Final = 5.0

# Of whoever reads a topic, in a group or not.
READER_CONFIG: Final[Mapping[str, Any]] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "earliest",
    "isolation.level": "read_committed",
    "allow.auto.create.topics": False,
}
CONSUMER_CONFIG: Final[Mapping[str, Any]] = {
    **READER_CONFIG,
    "reconnect.backoff.max.ms": 1_000,
    "socket.keepalive.enable": True,
    "partition.assignment.strategy": "cooperative-sticky",
    # A reader that was killed holds its partitions back for this long; brokers allow no less than 6 s.
    "session.timeout.ms": 10_000,
    "heartbeat.interval.ms": 3_000,
    # A reader whose database is away for longer leaves, so that one with a better connection may go on.
    "max.poll.interval.ms": 60_000,
    # How soon a topic or partition that was made later is found.
    "topic.metadata.refresh.interval.ms": 5_000,
    # Fetched ahead of the reader; the default of 64 MiB is more than the rest of the process needs.
    "queued.max.messages.kbytes": 16_384,
}

# How often the broker is asked while all seems well.
_REFRESH_S: Final = 30.0
# Longest wait in the thread: what comes to be done otherwise, such as beginning in new partitions, waits for it.
_SLICE_S: Final = 0.1
# From then on without a poll, the ends that the last fetches told are old.
_ENDS_OLD_S: Final = 2.0
_ENDS_TIMEOUT_S: Final = 1.0

_NO_TOPIC: Final = KafkaError.UNKNOWN_TOPIC_OR_PART

ResultT = TypeVar("ResultT")


class KafkaConsumer:
    """Reads its share of the partitions of one topic.

    Args:
        config: Connection part of a librdkafka configuration.
        topic: Name of the topic.
        group: Name of the group; its progress shows under it in Kafka's tools.
        instance_id: Name of this reader among those of the group, the same after a restart; empty: it has none.
        credentials: What it identifies itself with.
        telemetry: Told of refused credentials and of partitions that come and go.
    """

    def __init__(  # who it is, and whom it tells
        self,
        config: Mapping[str, str],
        topic: str,
        group: str,
        *,
        instance_id: str = "",
        credentials: Credentials | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._config = {**CONSUMER_CONFIG, **config, "group.id": group, "error_cb": self._on_error}
        if instance_id:
            self._config["group.instance.id"] = instance_id
        self._topic = topic
        self._credentials = credentials or FixedCredentials()
        self._telemetry = telemetry or NoTelemetry()
        self._probe = Probe((topic,))
        # librdkafka blocks; one thread keeps its calls in order.
        self._thread = CallingThread("kafka_consume")
        self._consumer: Consumer | None = None
        # Partitions of the group's making: those in which it is not known yet where to begin, and those that are read,
        # with the next offset that is not committed.
        self._new: set[int] = set()
        self._assigned: dict[int, int] = {}
        self._joined = False
        self._refresh_at = 0.0
        self._polled_at = 0.0
        # What librdkafka has given its client up for.
        self._fatal = ""

    async def start(self, find_offsets: FindOffsets) -> None:
        """Joins the group; partitions come during `poll`."""
        self._find_offsets = find_offsets
        await self._join()

    async def _join(self) -> None:
        config = {**self._config, **self._credentials.config()}
        self._consumer = Consumer(config, logger=logging.getLogger("eventlog.librdkafka"))
        await self._run(self._subscribe)

    async def _join_again(self) -> None:
        """Puts a new client in the place of one that librdkafka has given up: it would never read again.

        That comes when somebody else has joined under the same name, and when a broker that was killed takes its
        member for somebody else.
        """
        _LOG.warning("eventlog.consumer_rebuilt", topic=self._topic, error=self._fatal)
        await self._leave()
        self._new.clear()
        self._assigned.clear()
        self._joined, self._fatal = False, ""
        await self._join()

    async def poll(self, max_records: int, timeout_s: float) -> list[StoredRecord]:
        """Returns the next records, those of one partition in order."""
        deadline = time.monotonic() + timeout_s
        if self._fatal:
            await self._join_again()
        while True:
            if self._new:
                await self._begin()
            left_s = max(0.0, deadline - time.monotonic())
            found = await self._run(lambda: self._poll(max_records, min(left_s, _SLICE_S)))  # noqa: B023  # run now
            if found or left_s == 0.0:
                return found

    async def commit(self, offsets: Offsets) -> None:
        """Shows the progress in Kafka's tools; where to begin next time is in the reader's own database."""
        await self._run(lambda: self._commit(offsets))

    async def lag(self) -> int | None:
        """Returns how far the committed offsets of its own partitions are behind their ends."""
        return await self._run(self._lag)

    def not_ready(self) -> str | None:
        """Says what is wrong with the broker, the credentials or the topic, or what it waits for."""
        if self._probe.problem or not self._joined:
            return self._probe.problem or "the group has not let it in yet"
        return "it is not known yet where to begin" if self._new and not self._assigned else None

    async def close(self) -> None:
        """Closes the connection and the thread, and waits for that within a bound.

        librdkafka waits by the wall clock: where that was set back and there is nothing to read, a call may take as
        long as it was set back.
        """
        await self._leave()
        self._thread.stop()

    async def _leave(self) -> None:
        if self._consumer is not None:
            try:
                await asyncio.wait_for(self._run(self._consumer.close), _CLOSE_S)
            except TimeoutError:
                _LOG.warning("eventlog.close_late", topic=self._topic)

    async def _run(self, work: Callable[[], ResultT]) -> ResultT:
        return await self._thread.run(work)

    @property
    def _client(self) -> Consumer:
        if self._consumer is None:
            raise ConsumeError("not started")
        return self._consumer

    def _subscribe(self) -> None:
        self._client.subscribe(
            [self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )

    def _on_assign(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        # The question where to begin may have to wait for a database, and this callback must not: until it is
        # answered, nothing is fetched.
        client.incremental_assign([])
        self._new.update(each.partition for each in partitions)
        self._joined = True
        self._tell("eventlog.partitions_assigned", partitions)

    def _on_revoke(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        gone = {each.partition for each in partitions}
        client.incremental_unassign(self._places(dict.fromkeys(gone & self._assigned.keys(), OFFSET_INVALID)))
        self._new -= gone
        for number in gone:
            self._assigned.pop(number, None)
        self._tell("eventlog.partitions_revoked", partitions)

    def _tell(self, event: str, partitions: Iterable[TopicPartition]) -> None:
        numbers = sorted(each.partition for each in partitions)
        if numbers:
            _LOG.info(event, topic=self._topic, partitions=numbers)
            self._telemetry.rebalanced()

    async def _begin(self) -> None:
        """Asks where to begin in new partitions, and begins there."""
        wanted = [Partition(self._topic, number) for number in sorted(self._new)]
        offsets = await self._find_offsets(wanted)
        await self._run(lambda: self._assign({each.partition: offsets.get(each) for each in wanted}))

    def _assign(self, starts: Mapping[int, int | None]) -> None:
        offsets = {number: OFFSET_BEGINNING if start is None else start for number, start in starts.items()}
        self._client.incremental_assign(self._places(offsets))
        self._assigned.update(offsets)
        self._new -= offsets.keys()

    def _poll(self, max_records: int, timeout_s: float) -> list[StoredRecord]:
        self._polled_at = time.monotonic()
        self._credentials.renew(self._client)
        if self._polled_at >= self._refresh_at:
            self._refresh()
        # `consume` alone would wait for max_records or the whole timeout.
        first = self._client.poll(timeout_s)
        if first is None:
            return []
        messages = [first, *self._client.consume(max_records - 1, 0)]
        # Of a missing topic the probe tells, and also when it is there.
        failures = [error for each in messages if (error := each.error()) and error.code() != _NO_TOPIC]
        self._fatal = next((error.str() for error in failures if _is_fatal(error)), self._fatal)
        errors = [error.name() for error in failures]
        # Partitions may have gone while these were collected: whoever has them now reads the same.
        found = [stored(each) for each in messages if each.error() is None and each.partition() in self._assigned]
        if errors and not found:
            raise ConsumeError(f"Kafka answers {errors[0]}")
        return found

    def _refresh(self) -> None:
        """Finds out whether all is well."""
        self._probe.run(self._client)
        self._refresh_at = time.monotonic() + (self._probe.pause_s if self._probe.problem else _REFRESH_S)

    def _commit(self, offsets: Offsets) -> None:
        mine = {number: offset for (topic, number), offset in offsets.items() if topic == self._topic}
        mine = {number: offset for number, offset in mine.items() if number in self._assigned}
        self._assigned.update(mine)
        try:
            self._client.commit(offsets=self._places(mine), asynchronous=True)
        except KafkaException as error:
            _LOG.info("eventlog.commit_not_shown", error=str(error))

    def _lag(self) -> int | None:
        if not self._joined or self._new:
            return None
        # A reader that waits for its database fetches nothing: then the ends must be asked for.
        cached = time.monotonic() - self._polled_at < _ENDS_OLD_S
        lag = 0
        for number, next_offset in self._assigned.items():
            end = self._end(number, cached=cached)
            if end is None:
                return None
            lag += max(0, end[1] - max(next_offset, end[0]))
        return lag

    def _end(self, number: int, *, cached: bool) -> tuple[int, int] | None:
        """Returns the oldest offset of a partition and its end; None when unknown."""
        place = TopicPartition(self._topic, number)
        try:
            found = self._client.get_watermark_offsets(place, timeout=_ENDS_TIMEOUT_S, cached=cached)
        except KafkaException:
            return None
        return None if found is None or found[1] == OFFSET_INVALID else found

    def _places(self, offsets: Mapping[int, int]) -> list[TopicPartition]:
        return [TopicPartition(self._topic, number, offset) for number, offset in offsets.items()]

    def _on_error(self, error: KafkaError) -> None:
        if error.code() == KafkaError._AUTHENTICATION:  # noqa: SLF001  # public in librdkafka
            self._telemetry.authentication_failed()
        if self._probe.suspect(error):
            self._refresh_at = 0.0
            _LOG.warning("eventlog.kafka_error", error=error.name(), detail=error.str())


def _is_fatal(error: KafkaError) -> bool:
    return error.fatal() or error.code() == KafkaError._FATAL  # noqa: SLF001  # public in librdkafka


def stored(message: Any) -> StoredRecord:
    """Returns a message of librdkafka as the log's own record."""
    headers = message.headers()
    # By position: by name takes twice as long, of what is done for every record.
    return StoredRecord(
        message.topic(),
        message.partition(),
        message.offset(),
        (message.key() or b"").decode(errors="surrogateescape"),
        message.value() or b"",
        tuple((name, value or b"") for name, value in headers) if headers else (),
        message.timestamp()[1],
    )
