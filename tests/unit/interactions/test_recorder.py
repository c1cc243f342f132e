"""Taking events in: results, ids, copies within a call and across calls, and never an acknowledgement too much."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from eventlog.fake import MemoryLog, MemoryPublisher
from eventlog.ports import Durability, LogFullError, NotAcknowledgedError, Outcome, Record, RecordTooLargeError
from eventlog.topics import INTERACTIONS
from feed.interactions.v1 import interactions_pb2 as pb
from interactions.domain.event import BrokenRule, Refusal
from interactions.domain.result import Status
from interactions.service import MAX_IN_FLIGHT, Incoming, Recorder
from interactions.system import System
from interactions.telemetry import EventsRecorded
from runtime.errors import ResourceExhaustedError, UnavailableError
from tests.polling import until

NOW = datetime(2025, 9, 1, 12, tzinfo=UTC)
ID = "f47ac10b-58cc-4372-a567-0e02b2c3d479"
OTHER = "0" + ID[1:]
REFUSED = Refusal("x", (BrokenRule("userId", "is bad"),))
TRACE = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


def event(event_id: str = ID, *, time: datetime = NOW, **fields: Any) -> pb.Interaction:
    made = pb.Interaction(event_id=event_id, user_id="u1", video_id="v1", interaction_type=pb.LIKE, **fields)
    made.timestamp.FromDatetime(time)
    return made


EVENT = event()
TOO_OLD = event(time=NOW - timedelta(days=31))


class Told:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.records: list[EventsRecorded] = []

    def events_recorded(self, record: EventsRecorded) -> None:
        self.records.append(record)

    def authentication_failed(self) -> None:
        raise AssertionError


class GatedPublisher(MemoryPublisher):
    """Publishes into memory once its gate is open."""

    def __init__(self, log: MemoryLog) -> None:
        super().__init__(log)
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0
        self.error: Exception | None = None

    async def publish_many(self, records: Sequence[Record]) -> list[Outcome]:
        self.waiting += 1
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1
        if self.error:
            raise self.error
        return await super().publish_many(records)


class Bench:
    """A recorder on a log in memory."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.publisher = GatedPublisher(self.log)
        self.told = Told()
        ticks = iter(range(1_000_000))
        self.recorder = Recorder(
            self.publisher, self.told, System(now=lambda: NOW, monotonic=lambda: next(ticks) / 1000)
        )

    def values(self) -> list[dict[str, object]]:
        return [json.loads(record.value) for record in self.log.records(INTERACTIONS)]

    async def publishing(self, count: int) -> None:
        """Waits until so many calls are on their way."""

        async def waiting() -> int:
            return self.publisher.waiting

        await until(waiting, count)


@pytest.fixture
async def bench() -> Bench:
    return Bench()


async def test_an_event_is_published_under_its_user(bench: Bench) -> None:
    recorded = await bench.recorder.record([EVENT], TRACE)

    (record,) = bench.log.records(INTERACTIONS)
    assert (record.key, record.headers) == (
        "u1",
        (("contract-version", b"v2025.9"), ("content-type", b"application/json"), ("traceparent", TRACE.encode())),
    )
    assert [(each.event_id, each.status) for each in recorded.results] == [(ID, Status.ACCEPTED)]
    assert recorded.durability is Durability.JOURNAL


async def test_who_does_not_want_to_be_known_is_answered_and_nothing_is_kept(bench: Bench) -> None:
    """Decision 0051: an acknowledged event of such a user is the one that may be lost, and is counted."""

    class OnlyU2:
        def personalised(self, user_id: str) -> bool:
            return user_id == "u2"

    bench.recorder._consents = OnlyU2()
    known = event(OTHER)
    known.user_id = "u2"

    recorded = await bench.recorder.record([EVENT, known, event("")])
    alone = await bench.recorder.record([EVENT])

    assert [each.status for each in recorded.results] == [Status.ACCEPTED] * 3
    assert recorded.results[0].event_id == ID
    assert [value["userId"] for value in bench.values()] == ["u2"]
    assert (recorded.durability, alone.durability) == (Durability.JOURNAL, None)
    assert [each.withheld for each in bench.told.records] == [2, 1]


async def test_without_trace_there_is_no_header(bench: Bench) -> None:
    await bench.recorder.record([EVENT])

    assert [name for name, _ in bench.log.records(INTERACTIONS)[0].headers] == ["contract-version", "content-type"]


async def test_an_event_without_id_gets_one(bench: Bench) -> None:
    recorded = await bench.recorder.record([event(""), event("")])

    made = [each.event_id for each in recorded.results]
    assert len(set(made)) == 2
    assert [value["eventId"] for value in bench.values()] == made


async def test_a_bad_event_is_rejected_alone(bench: Bench) -> None:
    old = event(OTHER, time=NOW - timedelta(days=31))

    recorded = await bench.recorder.record([REFUSED, EVENT, old])

    assert [(each.event_id, each.status, [rule.field for rule in each.broken]) for each in recorded.results] == [
        ("x", Status.REJECTED, ["userId"]),
        (ID, Status.ACCEPTED, []),
        (OTHER, Status.REJECTED, ["timestamp"]),
    ]
    assert len(bench.values()) == 1


async def test_nothing_good_means_nothing_durable(bench: Bench) -> None:
    recorded = await bench.recorder.record([REFUSED])

    assert recorded.durability is None
    assert bench.values() == []


async def test_the_same_id_twice_is_published_once(bench: Bench) -> None:
    recorded = await bench.recorder.record([EVENT, event(ID.upper()), EVENT])

    assert [(each.event_id, each.status) for each in recorded.results] == [
        (ID, Status.ACCEPTED),
        (ID.upper(), Status.DUPLICATE),
        (ID, Status.DUPLICATE),
    ]
    assert len(bench.values()) == 1


async def test_one_unacknowledged_event_fails_the_call(bench: Bench) -> None:
    """The caller can only send all of it again, so nothing may look acknowledged."""
    bench.publisher.failures.append(NotAcknowledgedError("no"))
    with pytest.raises(UnavailableError, match="same eventId") as raised:
        await bench.recorder.record([EVENT, event(OTHER)])

    assert raised.value.retry_after_s == 1.0
    assert {each.status for each in bench.told.records[0].results} == {Status.FAILED}
    assert bench.told.records[0].durability is None


async def test_a_full_log_is_told_with_its_hint(bench: Bench) -> None:
    bench.publisher.failures.append(LogFullError("full", retry_after_s=7.0))

    with pytest.raises(ResourceExhaustedError) as raised:
        await bench.recorder.record([EVENT])

    assert (raised.value.reason, raised.value.retry_after_s) == ("LOG_FULL", 7.0)


async def test_an_event_too_large_is_rejected_alone_with_its_copies(bench: Bench) -> None:
    bench.publisher.failures.append(RecordTooLargeError("the record has 9 bytes; at most 8 are accepted"))
    recorded = await bench.recorder.record([EVENT, event(OTHER), EVENT])

    assert [each.status for each in recorded.results] == [Status.REJECTED, Status.ACCEPTED, Status.REJECTED]
    assert recorded.results[0].broken == (BrokenRule("interaction", "the record has 9 bytes; at most 8 are accepted"),)


async def test_each_call_is_told_once(bench: Bench) -> None:
    await bench.recorder.record([EVENT, REFUSED])

    (told,) = bench.told.records
    assert [each.status for each in told.results] == [Status.ACCEPTED, Status.REJECTED]
    assert told.durability is Durability.JOURNAL
    assert told.elapsed_s == pytest.approx(0.001)


async def stream(*events: Incoming) -> AsyncIterator[Incoming]:
    for each in events:
        yield each


async def turns(count: int) -> None:
    """Lets everybody else have so many turns."""
    for _ in range(count):
        await asyncio.sleep(0)


def numbered(count: int) -> list[pb.Interaction]:
    return [event(f"{number:08x}{ID[8:]}") for number in range(count)]


async def test_a_stream_is_summed_up(bench: Bench) -> None:
    recorded = await bench.recorder.record_stream(stream(EVENT, REFUSED, EVENT, *numbered(5)))

    totals = recorded.totals
    assert (totals.accepted, totals.duplicates, totals.rejected_count) == (7, 1, 1)
    assert [each.event_id for each in totals.rejected] == ["x"]
    assert recorded.durability is Durability.JOURNAL
    assert len(bench.values()) == 6


async def test_a_long_stream_stays_in_order_and_tells_100_rejected(bench: Bench) -> None:
    events = numbered(3 * MAX_IN_FLIGHT)

    recorded = await bench.recorder.record_stream(stream(*events, *[REFUSED] * 150))

    assert [value["eventId"] for value in bench.values()] == [each.event_id for each in events]
    assert (recorded.totals.rejected_count, len(recorded.totals.rejected)) == (150, 100)


async def test_a_corrected_event_is_no_duplicate_of_its_rejected_copy(bench: Bench) -> None:
    recorded = await bench.recorder.record_stream(stream(TOO_OLD, EVENT))

    assert (recorded.totals.accepted, recorded.totals.duplicates, recorded.totals.rejected_count) == (1, 0, 1)


async def test_a_rejected_copy_does_not_make_the_taken_event_new_again(bench: Bench) -> None:
    recorded = await bench.recorder.record_stream(stream(EVENT, TOO_OLD, EVENT))

    assert (recorded.totals.accepted, recorded.totals.duplicates, recorded.totals.rejected_count) == (2, 1, 1)
    assert len(bench.values()) == 1


async def test_an_empty_stream_is_fine(bench: Bench) -> None:
    recorded = await bench.recorder.record_stream(stream())

    assert (recorded.totals.accepted, recorded.durability) == (0, None)


async def test_a_stream_that_cannot_be_kept_fails(bench: Bench) -> None:
    bench.publisher.failures.append(NotAcknowledgedError("no"))

    with pytest.raises(UnavailableError):
        await bench.recorder.record_stream(stream(*numbered(3)))


async def test_a_later_copy_has_the_same_answer_and_is_not_published(bench: Bench) -> None:
    """R18: the same event is one event, and its sender hears the same each time."""
    first = await bench.recorder.record([EVENT])

    again = await bench.recorder.record([event(ID.upper())])

    assert [(each.event_id, each.status) for each in again.results] == [(ID.upper(), Status.ACCEPTED)]
    assert again.durability is first.durability is Durability.JOURNAL
    assert len(bench.values()) == 1


async def test_a_known_event_twice_in_a_batch_is_a_duplicate_there(bench: Bench) -> None:
    """DUPLICATE is said within one call only."""
    await bench.recorder.record([EVENT])

    again = await bench.recorder.record([EVENT, EVENT])

    assert [each.status for each in again.results] == [Status.ACCEPTED, Status.DUPLICATE]


async def test_copies_that_come_at_once_wait_for_the_first(bench: Bench) -> None:
    bench.publisher.gate.clear()
    first = asyncio.create_task(bench.recorder.record([EVENT]))
    await bench.publishing(1)
    copies = [asyncio.create_task(bench.recorder.record([event(OTHER), EVENT][number % 2 :])) for number in range(10)]
    await bench.publishing(2)

    assert not any(task.done() for task in (first, *copies))
    bench.publisher.gate.set()
    answers = await asyncio.gather(first, *copies)

    assert {each.status for answer in answers for each in answer.results} == {Status.ACCEPTED}
    assert {answer.durability for answer in answers} == {Durability.JOURNAL}
    assert [value["eventId"] for value in bench.values()] == [ID, OTHER]


async def test_a_failed_first_copy_fails_those_that_joined_it_and_no_later_one(bench: Bench) -> None:
    bench.publisher.gate.clear()
    bench.publisher.failures.append(NotAcknowledgedError("no"))
    calls = [asyncio.create_task(bench.recorder.record([EVENT])) for _ in range(3)]
    await bench.publishing(1)
    bench.publisher.gate.set()

    for call in calls:
        with pytest.raises(UnavailableError):
            await call
    assert bench.values() == []

    assert (await bench.recorder.record([EVENT])).durability is Durability.JOURNAL
    assert len(bench.values()) == 1


async def test_what_was_kept_of_a_failed_call_is_not_published_again(bench: Bench) -> None:
    bench.publisher.failures.append(NotAcknowledgedError("no"))
    with pytest.raises(UnavailableError):
        await bench.recorder.record([EVENT, event(OTHER)])

    again = await bench.recorder.record([EVENT, event(OTHER)])

    assert {each.status for each in again.results} == {Status.ACCEPTED}
    assert [value["eventId"] for value in bench.values()] == [OTHER, ID]


async def test_a_caller_who_gives_up_takes_nobody_with_him(bench: Bench) -> None:
    bench.publisher.gate.clear()
    first = asyncio.create_task(bench.recorder.record([EVENT]))
    await bench.publishing(1)
    copy = asyncio.create_task(bench.recorder.record([EVENT]))
    await asyncio.sleep(0)

    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    bench.publisher.gate.set()

    assert [each.status for each in (await copy).results] == [Status.ACCEPTED]
    assert len(bench.values()) == 1


async def test_closing_waits_for_what_was_taken_over(bench: Bench) -> None:
    bench.publisher.gate.clear()
    call = asyncio.create_task(bench.recorder.record([EVENT]))
    await bench.publishing(1)
    call.cancel()
    await turns(5)
    closing = asyncio.create_task(bench.recorder.close())
    await turns(5)
    assert not closing.done()

    bench.publisher.gate.set()
    await closing

    assert len(bench.values()) == 1


async def test_a_caller_who_gives_up_again_and_again_does_not_fill_the_log(bench: Bench) -> None:
    """Short deadlines and retries while the log is slow: each of them must not be one more copy."""
    bench.publisher.gate.clear()
    for _ in range(5):
        call = asyncio.create_task(bench.recorder.record([EVENT]))
        await turns(5)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    bench.publisher.gate.set()

    again = await bench.recorder.record([EVENT])

    assert [each.status for each in again.results] == [Status.ACCEPTED]
    assert len(bench.values()) == 1


async def test_a_copy_that_is_given_up_takes_nobody_with_it(bench: Bench) -> None:
    bench.publisher.gate.clear()
    first, second, third = (asyncio.create_task(bench.recorder.record([EVENT])) for _ in range(3))
    await bench.publishing(1)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    bench.publisher.gate.set()

    assert [(await call).durability for call in (first, third)] == [Durability.JOURNAL] * 2


async def test_a_publisher_that_breaks_leaves_no_event_that_looks_known(bench: Bench) -> None:
    bench.publisher.error = RuntimeError("a bug")
    bench.publisher.gate.clear()
    first, copy = (asyncio.create_task(bench.recorder.record([EVENT])) for _ in range(2))
    await bench.publishing(1)
    bench.publisher.gate.set()
    with pytest.raises(RuntimeError):
        await first
    with pytest.raises(UnavailableError):
        await copy

    bench.publisher.error = None
    await bench.recorder.record([EVENT])

    assert len(bench.values()) == 1


async def test_a_call_that_fails_before_it_publishes_leaves_no_event_that_looks_known(bench: Bench) -> None:
    broken: Any = None
    with pytest.raises(AttributeError):
        await bench.recorder.record([EVENT, broken])

    await bench.recorder.record([EVENT])

    assert len(bench.values()) == 1


async def test_a_copy_of_an_event_too_large_is_refused_too(bench: Bench) -> None:
    bench.publisher.gate.clear()
    bench.publisher.failures.append(RecordTooLargeError("too large"))
    calls = [asyncio.create_task(bench.recorder.record([EVENT])) for _ in range(2)]
    await bench.publishing(1)
    bench.publisher.gate.set()

    answers = [await call for call in calls]

    assert [each.status for answer in answers for each in answer.results] == [Status.REJECTED] * 2


async def test_a_stream_fails_as_soon_as_one_of_its_events_has(bench: Bench) -> None:
    """An endless one would never hear of it otherwise."""
    bench.publisher.failures.append(NotAcknowledgedError("no"))
    asked = 0

    async def endless() -> AsyncIterator[Incoming]:
        nonlocal asked
        while True:
            await turns(10)  # a network is slower than the loop
            asked += 1
            yield event(f"{asked:08x}{ID[8:]}")

    with pytest.raises(UnavailableError):
        await bench.recorder.record_stream(endless())
    assert asked < 10


async def test_a_stream_that_goes_on_holds_no_more_than_its_bound(bench: Bench) -> None:
    bench.publisher.gate.clear()
    asked = 0

    async def endless() -> AsyncIterator[Incoming]:
        nonlocal asked
        for each in numbered(3 * MAX_IN_FLIGHT):
            asked += 1
            await asyncio.sleep(0)
            yield each

    running = asyncio.create_task(bench.recorder.record_stream(endless()))
    await bench.publishing(MAX_IN_FLIGHT)
    await turns(10)
    assert asked == MAX_IN_FLIGHT

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    bench.publisher.gate.set()
    await bench.recorder.close()
    assert len(bench.values()) == MAX_IN_FLIGHT
