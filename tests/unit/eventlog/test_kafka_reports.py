"""Reports of a batch: what is confirmed is settled with the last of them, what failed is refused at once."""

import pytest
from confluent_kafka import KafkaError, Message

from eventlog.adapters.kafka_reports import Reports
from eventlog.batch import Batch, SpooledBatch
from eventlog.ports import Durability, NotAcknowledgedError, Outcome, Record, RecordTooLargeError

KAFKA = Durability.KAFKA
FAILED = KafkaError(KafkaError.NOT_ENOUGH_REPLICAS)


def told(record: Record) -> "Message[bytes, bytes]":
    """Returns a record as a report shows it: librdkafka has no empty keys."""
    key = record.key.encode(errors="surrogateescape") or None
    return Message(topic=record.topic, key=key, value=record.value)


def reports_of(batch: Batch) -> Reports:
    reports = Reports(batch)
    reports.expect(batch.unsettled())
    return reports


async def test_all_are_durable_with_the_last_report_and_none_before() -> None:
    batch = Batch([Record("t", "k", b"1"), Record("t", "k", b"2")])
    reports = reports_of(batch)
    reports(None, told(batch.records[1]))
    assert list(batch.unsettled()) == [0, 1]

    reports(None, told(batch.records[0]))

    assert await batch.outcomes(0) == [KAFKA, KAFKA]


@pytest.mark.parametrize("failed", [0, 1, 2, 3, 4])
async def test_the_record_that_failed_is_the_one_that_is_refused(failed: int) -> None:
    """Whatever else is like it: the topic, the key or the value; plain, none, or bytes that are no UTF-8."""
    batch = Batch(
        [
            Record("t", "k", b"1"),
            Record("t", "\udcff", b"1"),
            Record("t", "", b"1"),
            Record("s", "k", b"1"),
            Record("t", "k", b""),
        ]
    )
    reports = reports_of(batch)
    for index, record in enumerate(batch.records):
        reports(FAILED if index == failed else None, told(record))

    outcomes: list[Outcome] = await batch.outcomes(0)
    assert isinstance(outcomes.pop(failed), NotAcknowledgedError)
    assert outcomes == [KAFKA] * 4


async def test_of_records_that_are_the_same_as_many_are_refused_as_failed() -> None:
    batch = Batch([Record("t", "k", b"1")] * 3)
    reports = reports_of(batch)
    for error in (None, FAILED, FAILED):
        reports(error, told(batch.records[0]))

    assert sorted(str(each) for each in await batch.outcomes(0)) == sorted([KAFKA, *[str(_refusal())] * 2])


def test_a_failure_is_told_at_once() -> None:
    batch = Batch([Record("t", "k", b"1"), Record("t", "k", b"2")])

    reports_of(batch)(FAILED, told(batch.records[1]))

    assert batch.has_failed
    assert list(batch.unsettled()) == [0]


async def test_what_another_log_takes_is_not_called_durable_by_the_reports_of_others() -> None:
    batch = SpooledBatch([Record("t", "k", b"1"), Record("t", "k", b"2")], lambda: True)
    reports = reports_of(batch)
    reports(FAILED, told(batch.records[0]))
    reports(None, told(batch.records[1]))

    assert list(batch.unsettled()) == [0]
    batch.settle(0, Durability.JOURNAL)
    assert await batch.outcomes(0) == [Durability.JOURNAL, KAFKA]


async def test_what_was_never_queued_is_not_waited_for() -> None:
    """A record too large for librdkafka is refused when it is to be queued; it has no report."""
    batch = Batch([Record("t", "k", b"1"), Record("t", "k", b"2")])
    reports = Reports(batch)
    batch.refuse(0, RecordTooLargeError("told to"))
    reports.expect([1])

    reports(None, told(batch.records[1]))

    first, second = await batch.outcomes(0)
    assert isinstance(first, RecordTooLargeError)
    assert second is KAFKA


def _refusal() -> NotAcknowledgedError:
    return NotAcknowledgedError(f"Kafka did not confirm the record: {FAILED.name()}")
