"""What every log promises, whatever it is made of."""

import asyncio
import time
from typing import Any

from eventlog.ports import (
    MAX_RECORD_BYTES,
    Consumer,
    Durability,
    NotAcknowledgedError,
    Partition,
    Record,
    RecordTooLargeError,
    StoredRecord,
)
from tests.polling import until


async def read(consumer: Consumer, count: int, bound_s: float = 15.0) -> list[StoredRecord]:
    """Polls until so many records came, and then once more to see that there are no others."""
    found: list[StoredRecord] = []
    deadline = time.monotonic() + bound_s
    while len(found) < count and time.monotonic() < deadline:
        found += await consumer.poll(max_records=100, timeout_s=0.5)
    return found + await consumer.poll(max_records=100, timeout_s=0.05)


def next_offsets(records: list[StoredRecord]) -> dict[Partition, int]:
    return {Partition(record.topic, record.partition): record.offset + 1 for record in records}


async def test_what_is_acknowledged_comes_out_as_it_went_in(log: Any) -> None:
    headers = (("contract-version", b"v2025.9"), ("reason", b""), ("reason", b"\xff\x00"))
    records = [
        Record(log.topic, "user:1", b'{"a":1}', headers),
        Record(log.topic, "", b"no key"),
        Record(log.topic, "no\udcffutf8", b"\x00\xff"),
    ]

    outcomes = await (await log.publisher()).publish_many(records)

    found = await read(await log.consumer(), 3)
    assert outcomes == [log.durability] * 3
    assert {(r.topic, r.key, r.value, r.headers, r.intact) for r in found} == {
        (r.topic, r.key, r.value, r.headers, True) for r in records
    }


async def test_records_of_a_key_stay_in_order(log: Any) -> None:
    publisher = await log.publisher()
    for first in range(0, 300, 100):
        numbers = range(first, first + 100)
        await publisher.publish_many([Record(log.topic, f"user{n % 7}", str(n).encode()) for n in numbers])

    found = await read(await log.consumer(), 300)

    for user in range(7):
        seen = [int(record.value) for record in found if record.key == f"user{user}"]
        assert seen == list(range(user, 300, 7))


async def test_callers_at_the_same_time_each_get_their_own_outcomes(log: Any) -> None:
    publisher = await log.publisher()

    calls = [publisher.publish_many([Record(log.topic, f"u{n}", str(n).encode())] * (n % 3 + 1)) for n in range(60)]
    answers = await asyncio.gather(*calls)

    assert [len(answer) for answer in answers] == [n % 3 + 1 for n in range(60)]
    assert {outcome for answer in answers for outcome in answer} == {log.durability}
    assert len(await read(await log.consumer(), 120)) == 120


async def test_a_record_over_the_limit_is_refused_alone(log: Any) -> None:
    publisher = await log.publisher()
    at_limit = Record(log.topic, "k", b"x" * (MAX_RECORD_BYTES - 1))
    over = Record(log.topic, "k", b"x" * MAX_RECORD_BYTES)

    first, second, third = await publisher.publish_many([at_limit, over, Record(log.topic, "k", b"small")])

    assert (first, third) == (log.durability, log.durability)
    assert isinstance(second, RecordTooLargeError)
    assert [len(record.value) for record in await read(await log.consumer(), 2)] == [MAX_RECORD_BYTES - 1, 5]


async def test_publishing_nothing_is_fine(log: Any) -> None:
    assert await (await log.publisher()).publish_many([]) == []


async def test_a_publisher_that_is_closed_acknowledges_nothing(log: Any) -> None:
    publisher = await log.publisher()
    await publisher.close()

    (outcome,) = await publisher.publish_many([Record(log.topic, "k", b"v")])

    assert isinstance(outcome, NotAcknowledgedError)
    assert publisher.not_ready() == "closed"


async def test_closing_first_sends_what_was_published(log: Any) -> None:
    publisher = await log.publisher()
    publishing = asyncio.create_task(publisher.publish_many([Record(log.topic, "k", b"v")]))
    await asyncio.sleep(0)

    await publisher.close()

    assert await publishing == [log.durability]


async def test_ready_once_open(log: Any) -> None:
    publisher, consumer = await log.publisher(), await log.consumer()

    async def problems() -> tuple[str | None, str | None]:
        await consumer.poll(1, timeout_s=0.01)
        return publisher.not_ready(), consumer.not_ready()

    nothing: tuple[str | None, str | None] = (None, None)
    await until(problems, nothing)


async def test_a_reader_goes_on_at_the_offsets_it_is_given(log: Any) -> None:
    publisher = await log.publisher()
    await publisher.publish_many([Record(log.topic, f"u{n}", b"old") for n in range(20)])
    seen = next_offsets(await read(await log.consumer(), 20))
    await publisher.publish_many([Record(log.topic, f"u{n}", b"new") for n in range(20)])

    found = await read(await log.consumer(seen, group="another"), 20)

    assert [record.value for record in found] == [b"new"] * 20


async def test_a_reader_with_offsets_beyond_the_end_begins_at_the_oldest(log: Any) -> None:
    """The topic was made anew: what is in it was never read."""
    await (await log.publisher()).publish_many([Record(log.topic, "k", b"v")])
    beyond = {Partition(log.topic, partition): 2**60 for partition in range(3)}

    assert [record.value for record in await read(await log.consumer(beyond), 1)] == [b"v"]


async def test_a_waiting_reader_gets_a_record_at_once(log: Any) -> None:
    publisher, consumer = await log.publisher(), await log.consumer()
    await publisher.publish_many([Record(log.topic, "k", b"first")])
    await read(consumer, 1)

    polling = asyncio.create_task(consumer.poll(10, timeout_s=60))
    await publisher.publish_many([Record(log.topic, "k", b"second")])

    async with asyncio.timeout(20):
        assert [record.value for record in await polling] == [b"second"]


async def test_poll_returns_nothing_after_its_timeout(log: Any) -> None:
    consumer = await log.consumer()
    start = time.monotonic()

    assert await consumer.poll(10, timeout_s=0.2) == []
    assert time.monotonic() - start < 5


async def test_poll_returns_no_more_than_asked_for(log: Any) -> None:
    await (await log.publisher()).publish_many([Record(log.topic, "k", b"v")] * 5)
    consumer = await log.consumer()

    sizes: list[int] = []
    async with asyncio.timeout(30):
        while sum(sizes) < 5:
            sizes.append(len(await consumer.poll(2, timeout_s=0.5)))

    assert sum(sizes) == 5
    assert max(sizes) <= 2


async def test_lag_counts_what_is_not_committed(log: Any) -> None:
    publisher, consumer = await log.publisher(), await log.consumer()
    await publisher.publish_many([Record(log.topic, f"u{n}", b"v") for n in range(10)])
    found = await read(consumer, 10)

    assert await consumer.lag() == 10
    await consumer.commit(next_offsets(found))
    assert await consumer.lag() == 0
    await publisher.publish_many([Record(log.topic, "u1", b"v")])
    await read(consumer, 1)
    assert await consumer.lag() == 1


async def test_append_time_is_now(log: Any) -> None:
    before_ms = time.time_ns() // 1_000_000
    await (await log.publisher()).publish_many([Record(log.topic, "k", b"v")])

    (found,) = await read(await log.consumer(), 1)

    assert before_ms - 1_000 <= found.append_time_ms <= time.time_ns() // 1_000_000 + 1_000


def test_durabilities_are_those_of_the_contract() -> None:
    assert [each.value for each in Durability] == ["KAFKA", "JOURNAL"]
