"""What librdkafka reports of the records of a batch, and what that means for those who wait."""

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from confluent_kafka import KafkaError, Message

from eventlog.batch import Batch
from eventlog.ports import Durability, LogFullError, NotAcknowledgedError, Outcome, Record, RecordTooLargeError

# librdkafka takes up to a second to send again after a broker came back; a full queue empties faster.
RETRY_AFTER_S: Final = 1.0

# Topic, key and value: all that a report tells of its record.
_Bytes: TypeAlias = tuple[str | None, bytes, bytes]


class Reports:
    """The callback for all records of a batch.

    One for each record, which would know its place, takes 1 us a record more (measured, of 3.2 for queueing it and for
    its report). So confirmations are counted, and the last report settles what was confirmed. A record that failed is
    refused at once; it is found by what it holds, and records that hold the same stand for each other.

    Args:
        batch: The batch.
    """

    __slots__ = ("_batch", "_due", "_queued", "_unreported")

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._queued: Sequence[int] = ()
        self._due = 0
        # What has not failed, by what it holds; made for the first that fails.
        self._unreported: dict[_Bytes, list[int]] | None = None

    def expect(self, queued: Sequence[int]) -> None:
        """Takes the indices of the records that librdkafka has; before the first report."""
        self._queued = queued
        self._due = len(queued)

    def __call__(self, error: KafkaError | None, message: Message) -> None:
        """Takes a report."""
        self._due -= 1
        if error is not None:
            self._batch.refuse(self._find(message), outcome_of(error))
        if not self._due:
            self._batch.settle_each(self._confirmed(), Durability.KAFKA)

    def _find(self, message: Message) -> int:
        if self._unreported is None:
            self._unreported = {}
            for index in reversed(self._queued):
                self._unreported.setdefault(_held(self._batch.records[index]), []).append(index)
        return self._unreported[message.topic(), message.key() or b"", message.value() or b""].pop()

    def _confirmed(self) -> Sequence[int]:
        if self._unreported is None:
            return self._queued
        return [index for indices in self._unreported.values() for index in indices]


def refuse(batch: Batch, indices: Iterable[int], outcome: Outcome) -> None:
    """Refuses some records of a batch for the same reason."""
    for index in indices:
        batch.refuse(index, outcome)


def outcome_of(error: KafkaError | None) -> Outcome:
    """Returns what a report, or a refusal to queue a record, means for it."""
    if error is None:
        return Durability.KAFKA
    if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
        return RecordTooLargeError("the record is larger than the topic takes")
    if error.code() == KafkaError._QUEUE_FULL:  # noqa: SLF001  # public in librdkafka
        return LogFullError("too many records wait for Kafka", RETRY_AFTER_S)
    return NotAcknowledgedError(f"Kafka did not confirm the record: {error.name()}")


def _held(record: Record) -> _Bytes:
    return record.topic, record.key.encode(errors="surrogateescape"), record.value
