"""Taking events in: results, ids, duplicates, and never an acknowledgement too much."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from eventlog.fake import MemoryLog, MemoryPublisher
from eventlog.ports import Durability, LogFullError, NotAcknowledgedError, RecordTooLargeError
from eventlog.topics import INTERACTIONS
from interactions.domain.event import BrokenRule, Candidate, InteractionEvent, InteractionType, Refusal
from interactions.domain.result import Status
from interactions.service import MAX_IN_FLIGHT, Recorder
from interactions.system import System
from interactions.telemetry import EventsRecorded
from runtime.errors import ResourceExhaustedError, UnavailableError

NOW = datetime(2025, 9, 1, 12, tzinfo=UTC)
ID = "f47ac10b-58cc-4372-a567-0e02b2c3d479"
EVENT = InteractionEvent("u1", "v1", InteractionType.LIKE, 0.0, NOW, ID)
REFUSED = Refusal("x", (BrokenRule("userId", "is bad"),))
TRACE = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


class Told:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.records: list[EventsRecorded] = []

    def events_recorded(self, record: EventsRecorded) -> None:
        self.records.append(record)

    def authentication_failed(self) -> None:
        raise AssertionError


class Bench:
    """A recorder on a log in memory."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.publisher: MemoryPublisher = self.log.publisher()
        self.told = Told()
        ticks = iter(range(1_000_000))
        self.recorder = Recorder(
            self.publisher, self.told, System(now=lambda: NOW, monotonic=lambda: next(ticks) / 1000)
        )

    def values(self) -> list[dict[str, object]]:
        return [json.loads(record.value) for record in self.log.records(INTERACTIONS)]


@pytest.fixture
def bench() -> Bench:
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


async def test_without_trace_there_is_no_header(bench: Bench) -> None:
    await bench.recorder.record([EVENT])

    assert [name for name, _ in bench.log.records(INTERACTIONS)[0].headers] == ["contract-version", "content-type"]


async def test_an_event_without_id_gets_one(bench: Bench) -> None:
    recorded = await bench.recorder.record([replace(EVENT, event_id=""), replace(EVENT, event_id="")])

    made = [each.event_id for each in recorded.results]
    assert len(set(made)) == 2
    assert [value["eventId"] for value in bench.values()] == made


async def test_a_bad_event_is_rejected_alone(bench: Bench) -> None:
    old = replace(EVENT, event_id="0" + ID[1:], event_time=NOW - timedelta(days=31))

    recorded = await bench.recorder.record([REFUSED, EVENT, old])

    assert [(each.event_id, each.status, [rule.field for rule in each.broken]) for each in recorded.results] == [
        ("x", Status.REJECTED, ["userId"]),
        (ID, Status.ACCEPTED, []),
        ("0" + ID[1:], Status.REJECTED, ["timestamp"]),
    ]
    assert len(bench.values()) == 1


async def test_nothing_good_means_nothing_durable(bench: Bench) -> None:
    recorded = await bench.recorder.record([REFUSED])

    assert recorded.durability is None
    assert bench.values() == []


async def test_the_same_id_twice_is_published_once(bench: Bench) -> None:
    other_case = replace(EVENT, event_id=ID.upper())

    recorded = await bench.recorder.record([EVENT, other_case, EVENT])

    assert [(each.event_id, each.status) for each in recorded.results] == [
        (ID, Status.ACCEPTED),
        (ID.upper(), Status.DUPLICATE),
        (ID, Status.DUPLICATE),
    ]
    assert len(bench.values()) == 1


async def test_one_unacknowledged_event_fails_the_call(bench: Bench) -> None:
    """The caller can only send all of it again, so nothing may look acknowledged."""
    bench.publisher.failures.append(NotAcknowledgedError("no"))
    second = replace(EVENT, event_id="0" + ID[1:])

    with pytest.raises(UnavailableError, match="same eventId") as raised:
        await bench.recorder.record([EVENT, second])

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
    second = replace(EVENT, event_id="0" + ID[1:])

    recorded = await bench.recorder.record([EVENT, second, EVENT])

    assert [each.status for each in recorded.results] == [Status.REJECTED, Status.ACCEPTED, Status.REJECTED]
    assert recorded.results[0].broken == (BrokenRule("interaction", "the record has 9 bytes; at most 8 are accepted"),)


async def test_each_call_is_told_once(bench: Bench) -> None:
    await bench.recorder.record([EVENT, REFUSED])

    (told,) = bench.told.records
    assert [each.status for each in told.results] == [Status.ACCEPTED, Status.REJECTED]
    assert told.durability is Durability.JOURNAL
    assert told.elapsed_s == pytest.approx(0.001)


async def stream(*candidates: Candidate) -> AsyncIterator[Candidate]:
    for candidate in candidates:
        yield candidate


def numbered(count: int) -> list[InteractionEvent]:
    return [replace(EVENT, event_id=f"{number:08x}{ID[8:]}") for number in range(count)]


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

    assert [value["eventId"] for value in bench.values()] == [event.event_id for event in events]
    assert (recorded.totals.rejected_count, len(recorded.totals.rejected)) == (150, 100)


async def test_a_corrected_event_is_no_duplicate_of_its_rejected_copy(bench: Bench) -> None:
    too_old = replace(EVENT, event_time=NOW - timedelta(days=31))

    recorded = await bench.recorder.record_stream(stream(too_old, EVENT))

    assert (recorded.totals.accepted, recorded.totals.duplicates, recorded.totals.rejected_count) == (1, 0, 1)


async def test_a_rejected_copy_does_not_make_the_taken_event_new_again(bench: Bench) -> None:
    too_old = replace(EVENT, event_time=NOW - timedelta(days=31))

    recorded = await bench.recorder.record_stream(stream(EVENT, too_old, EVENT))

    assert (recorded.totals.accepted, recorded.totals.duplicates, recorded.totals.rejected_count) == (2, 1, 1)
    assert len(bench.values()) == 1


async def test_an_empty_stream_is_fine(bench: Bench) -> None:
    recorded = await bench.recorder.record_stream(stream())

    assert (recorded.totals.accepted, recorded.durability) == (0, None)


async def test_a_stream_that_cannot_be_kept_fails(bench: Bench) -> None:
    bench.publisher.failures.append(NotAcknowledgedError("no"))

    with pytest.raises(UnavailableError):
        await bench.recorder.record_stream(stream(*numbered(3)))
