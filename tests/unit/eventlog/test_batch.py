"""A batch: each record gets one outcome, the first; and nobody waits for ever."""

import asyncio

import pytest

from eventlog.batch import Batch, SpooledBatch
from eventlog.ports import (
    MAX_RECORD_BYTES,
    Durability,
    NotAcknowledgedError,
    Outcome,
    Record,
    RecordTooLargeError,
)


def records(count: int) -> list[Record]:
    return [Record("t", "k", b"v")] * count


async def test_the_first_outcome_of_a_record_counts() -> None:
    batch = Batch(records(2))
    batch.settle(0, Durability.JOURNAL)
    batch.settle(0, Durability.KAFKA)
    assert list(batch.unsettled()) == [1]
    assert not batch.is_settled

    batch.settle_all(Durability.KAFKA)

    assert batch.is_settled
    assert await batch.outcomes(0) == [Durability.JOURNAL, Durability.KAFKA]


async def test_who_waits_is_woken_by_the_last_outcome() -> None:
    batch = Batch(records(2))
    waiting = asyncio.create_task(batch.outcomes())
    await asyncio.sleep(0)
    batch.settle(1, Durability.KAFKA)
    await asyncio.sleep(0)
    assert not waiting.done()

    batch.settle(0, Durability.KAFKA)

    assert await waiting == [Durability.KAFKA] * 2


async def test_what_is_not_settled_in_time_is_not_acknowledged() -> None:
    batch = Batch(records(2))
    batch.settle(0, Durability.KAFKA)

    first, second = await batch.outcomes(0.01)

    assert first is Durability.KAFKA
    assert isinstance(second, NotAcknowledgedError)


@pytest.mark.parametrize(
    ("key", "room"),
    [
        pytest.param("k", 1, id="plain"),
        pytest.param("\u00fc" * 10, 20, id="two bytes a character"),
        pytest.param("\udcff", 1, id="a byte that is no UTF-8"),
    ],
)
def test_key_and_value_together_are_bounded(key: str, room: int) -> None:
    fits = Batch([Record("t", key, b"x" * (MAX_RECORD_BYTES - room))])
    large = Batch([Record("t", key, b"x" * (MAX_RECORD_BYTES - room + 1))])

    assert not fits.is_settled
    assert large.is_settled


def spooled(*, takes: bool) -> SpooledBatch:
    return SpooledBatch(records(2), lambda: takes)


REFUSED: Outcome = NotAcknowledgedError("told to")


def test_what_kafka_refuses_waits_for_another_log() -> None:
    batch = spooled(takes=True)
    batch.refuse(0, REFUSED)

    assert batch.has_failed
    assert list(batch.unsettled()) == [0, 1]


async def test_what_no_other_log_takes_is_refused() -> None:
    batch = spooled(takes=False)
    batch.refuse(0, REFUSED)
    batch.settle(1, Durability.KAFKA)

    assert await batch.outcomes(0) == [REFUSED, Durability.KAFKA]


async def test_what_was_left_to_kafka_alone_is_refused() -> None:
    batch = spooled(takes=True)
    batch.is_left = True
    batch.refuse(0, REFUSED)

    assert list(batch.unsettled()) == [1]


async def test_a_record_that_is_at_fault_itself_is_not_taken_elsewhere() -> None:
    batch = spooled(takes=True)
    batch.refuse(0, RecordTooLargeError("told to"))

    assert list(batch.unsettled()) == [1]
