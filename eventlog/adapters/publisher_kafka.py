"""Publishes to Apache Kafka with confluent_kafka's plain Producer.

Not its AIOProducer: that flushes on 1,000 messages or on inactivity (P95 3.9 s at 200 events/s, measured) and
takes no headers. Not a thread that polls either: librdkafka takes the interpreter's lock for each single delivery
report, and a busy event loop makes it wait up to 5 ms each time. So the event loop polls, every millisecond while
anything is under way (docs/decisions/0017).
"""

import asyncio
import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer

from eventlog.adapters.kafka_credentials import Credentials, CredentialsError, FixedCredentials
from eventlog.adapters.kafka_probe import Probe
from eventlog.adapters.kafka_reports import RETRY_AFTER_S, Reports, outcome_of, refuse
from eventlog.batch import Batch
from eventlog.ports import (
    Headers,
    LogFullError,
    NotAcknowledgedError,
    Outcome,
    Record,
    RecordTooLargeError,
)
from eventlog.telemetry import NoTelemetry, Telemetry

_LOG = structlog.get_logger(__name__)

# Why each: facts part 3.1. The queue is small because what is queued is neither acknowledged nor safe.
PRODUCER_CONFIG: Final[Mapping[str, Any]] = {
    "enable.idempotence": True,
    "acks": "all",
    "linger.ms": 2,
    "partitioner": "murmur2_random",
    "queue.buffering.max.messages": 20_000,
    "queue.buffering.max.kbytes": 32_768,
    "message.max.bytes": 65_536,
    "reconnect.backoff.max.ms": 1_000,
    "allow.auto.create.topics": False,
    "socket.keepalive.enable": True,
}

# Where nobody else keeps a record, the queue must get rid of what nobody waits for any more.
MESSAGE_TIMEOUT_S: Final = 120.0

# Pauses between polls: while reports are due, while none came for long, and while nothing is under way.
_BUSY_S: Final = 0.001
_PATIENT_S: Final = 0.02
_IDLE_S: Final = 0.1
# So many polls without a report, and Kafka is not about to answer.
_PATIENCE: Final = 100
# As librdkafka writes that the partitioner chooses.
_ANY_PARTITION: Final = -1
# Longest wait for the reports of a producer that was told to drop everything.
_PURGE_S: Final = 5.0
_LOOK_S: Final = 0.002


class KafkaPublisher:
    """Publishes records; each is acknowledged by its delivery report and by nothing else.

    All but the probe happens on the event loop's thread, the callbacks of librdkafka included.

    Args:
        config: Connection part of a librdkafka configuration.
        topics: Topics that must be there before `not_ready` is satisfied.
        telemetry: Told of refusals and rebuilds.
        credentials: What the producer identifies itself with, over `config`.
        message_timeout_s: How long librdkafka tries to deliver a record, in seconds; 0: for ever.
        publish_timeout_s: Longest wait for the delivery reports of one call, in seconds.
        close_timeout_s: Longest wait for what is still queued at the end, in seconds.
    """

    def __init__(
        self,
        config: Mapping[str, str],
        *,
        topics: Sequence[str] = (),
        telemetry: Telemetry | None = None,
        credentials: Credentials | None = None,
        message_timeout_s: float = MESSAGE_TIMEOUT_S,
        publish_timeout_s: float = 5.0,
        close_timeout_s: float = 5.0,
    ) -> None:
        timeout = {"delivery.timeout.ms": int(message_timeout_s * 1000), "error_cb": self._on_error}
        self._config = {**PRODUCER_CONFIG, **timeout, **config}
        self._telemetry = telemetry or NoTelemetry()
        self._credentials = credentials or FixedCredentials()
        self._publish_timeout_s = publish_timeout_s
        self._close_timeout_s = close_timeout_s
        self._probe = Probe(topics)
        self._stopping = threading.Event()
        self._producer: Producer | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._pause_s = _IDLE_S
        self._empty_polls = 0
        self._told_ready: bool | None = None
        self._rebuilding: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Starts the producer; the broker is awaited in the background."""
        self._loop = asyncio.get_running_loop()
        self._producer = self._make_producer()
        self._watcher = threading.Thread(target=self._watch, name="kafka_watch", daemon=True)
        self._watcher.start()
        self._poll_in(_IDLE_S)

    async def publish_many(self, records: Sequence[Record]) -> list[Outcome]:
        """Queues the records and waits for their delivery reports; fails at once while the credentials are refused."""
        batch = Batch(records)
        if self._probe.is_refused:
            batch.settle_all(NotAcknowledgedError(str(self._probe.problem)))
        else:
            self.send(batch)
        return await batch.outcomes(self._publish_timeout_s)

    def send(self, batch: Batch) -> None:
        """Queues what of a batch has no outcome yet; the delivery reports settle it, or refuse it.

        When one record is refused for want of room or of a working producer, so are all after it: sent alone, they
        would come before it.
        """
        producer = self._producer
        if producer is None:
            refuse(batch, batch.unsettled(), NotAcknowledgedError("the publisher is closed"))
            return
        self._produce(producer, batch, batch.unsettled())
        self._empty_polls = 0
        if self._pause_s > _BUSY_S:
            self._poll_in(_BUSY_S)

    def poll(self) -> None:
        """Takes the delivery reports that are there."""
        if self._producer is not None:
            self._serve(self._producer)

    def not_ready(self) -> str | None:
        """Says what is wrong with the broker, the credentials or the topics."""
        if self._producer is None:
            return "not started" if not self._stopping.is_set() else "closed"
        if self._rebuilding is not None:  # the dead one may still be told the topics
            return "the Kafka client is being rebuilt"
        return self._probe.problem

    async def close(self) -> None:
        """Sends what is queued, within the bound, and stops the threads."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        self._stopping.set()
        for running in (self._timer, self._rebuilding):
            if running is not None:
                running.cancel()
        left = await self._emptied(producer, self._close_timeout_s)
        if left:
            _LOG.warning("eventlog.closed_with_unsent", unsent=left)
        await self._dropped(producer)
        await asyncio.to_thread(self._watcher.join)

    def _produce(self, producer: Producer, batch: Batch, indices: Sequence[int]) -> None:
        """Queues records until one is refused, which is refused with all after it."""
        reports = Reports(batch)
        queued: list[int] = []
        refusal: Outcome | None = None
        headers: Headers = ()
        as_list: list[tuple[str, str | bytes | None]] = []
        for index in indices:
            record = batch.records[index]
            if record.headers != headers:
                headers, as_list = record.headers, list(record.headers)
            key, time_ms = _key(record.key), record.append_time_ms
            try:
                # By place: names take 0.4 us a record. Of the two names of the callback only the first counts then.
                producer.produce(record.topic, record.value, key, _ANY_PARTITION, reports, None, time_ms, as_list)
                queued.append(index)
            except BufferError:
                refusal = LogFullError("too many records wait for Kafka", RETRY_AFTER_S)
            except KafkaException as error:
                refusal = outcome_of(error.args[0])
            if isinstance(refusal, RecordTooLargeError):
                batch.refuse(index, refusal)
                refusal = None
            elif refusal is not None:
                break
        reports.expect(queued)
        if refusal is not None:
            refuse(batch, indices[indices.index(index) :], refusal)

    def _poll_in(self, pause_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._pause_s = pause_s
        self._timer = self._loop.call_later(pause_s, self._tick)

    def _tick(self) -> None:
        producer = self._producer
        if producer is None:
            return
        served = self._serve(producer)
        self._empty_polls = 0 if served else self._empty_polls + 1
        waiting = len(producer) > 0
        self._poll_in((_BUSY_S if self._empty_polls < _PATIENCE else _PATIENT_S) if waiting else _IDLE_S)
        ready = self._probe.problem is None
        if ready is not self._told_ready:
            self._told_ready = ready
            self._telemetry.kafka_ready(ready)

    def _watch(self) -> None:
        """Asks the broker now and then; a thread, since the question blocks."""
        while not self._stopping.is_set():
            producer = self._producer
            if producer is not None:
                self._credentials.renew(producer)
                self._probe.run_when_due(producer)
            self._stopping.wait(self._probe.look_s)

    def _serve(self, producer: Producer) -> int:
        """Takes the reports that are there; returns how many callbacks that were."""
        try:
            return producer.poll(0)
        except KafkaException as error:  # what is fatal does not go to the error callback
            self._on_error(error.args[0])
            return 0

    def _on_error(self, error: KafkaError) -> None:
        if error.code() == KafkaError._AUTHENTICATION:  # noqa: SLF001  # public in librdkafka
            self._telemetry.authentication_failed()
        if error.fatal() or error.code() == KafkaError._FATAL:  # noqa: SLF001
            self._loop.call_soon(self._begin_rebuild)
        if self._probe.suspect(error):
            _LOG.warning("eventlog.kafka_error", error=error.name(), detail=error.str())

    def _begin_rebuild(self) -> None:
        if self._producer is not None and self._rebuilding is None:
            self._rebuilding = self._loop.create_task(self._rebuild(self._producer), name="kafka_rebuild")

    async def _rebuild(self, dead: Producer) -> None:
        """Replaces a producer that librdkafka declared dead; what it held is reported as not acknowledged.

        The new one comes after the last report of the old one: who sends on after a failure knows of it then.
        """
        self._telemetry.producer_rebuilt()
        _LOG.error("eventlog.producer_rebuilt")
        dead.purge(blocking=False)
        await self._emptied(dead, _PURGE_S)
        await asyncio.sleep(RETRY_AFTER_S)  # a cause that persists must not make a thousand producers
        while True:
            try:
                self._producer = self._make_producer()
                break
            except (OSError, CredentialsError, KafkaException) as error:
                _LOG.warning("eventlog.producer_not_rebuilt", error=str(error))
                await asyncio.sleep(RETRY_AFTER_S)
        self._rebuilding = None
        await self._dropped(dead)

    async def _emptied(self, producer: Producer, timeout_s: float) -> int:
        """Takes delivery reports until none is due or time is up; returns how many are still due."""
        deadline = self._loop.time() + timeout_s
        while len(producer) and self._loop.time() < deadline:
            self._serve(producer)
            await asyncio.sleep(_LOOK_S)
        self._serve(producer)
        return len(producer)

    async def _dropped(self, producer: Producer) -> None:
        """Has everything that a producer holds reported, then ends it; that waits for its threads."""
        if len(producer):
            producer.purge(blocking=False)
            await self._emptied(producer, _PURGE_S)
        if not len(producer):
            await asyncio.to_thread(producer.close)

    def _make_producer(self) -> Producer:
        config = {**self._config, **self._credentials.config()}
        return Producer(config, logger=logging.getLogger("eventlog.librdkafka"))


def _key(key: str) -> str | bytes | None:
    """Returns what librdkafka takes; it encodes by itself what is plain."""
    if key.isascii():
        return key or None
    return key.encode(errors="surrogateescape")
