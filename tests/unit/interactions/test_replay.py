"""Dead letters: what is kept of a record, and what is published again."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from eventlog.fake import MemoryLog
from eventlog.ports import MAX_RECORD_BYTES, NotAcknowledgedError, Record, StoredRecord
from eventlog.topics import INTERACTIONS, INTERACTIONS_DLQ, SERVED
from interactions.domain import log_record
from interactions.domain.event import InteractionEvent, InteractionType
from interactions.sink.dead_letter import Dead, NoLetterError, bare_letter, dead_letter, read_letter
from interactions.sink.ports import Fault
from interactions.sink.replay import Report, replay

FOUND = StoredRecord(INTERACTIONS, 3, 77, "u\udcff", b"\xff value", (("traceparent", b"x"), ("topic", b"mine")))


def event() -> bytes:
    time = datetime(2025, 9, 1, tzinfo=UTC)
    return log_record.encode(InteractionEvent("u1", "v1", InteractionType.LIKE, 0.0, time, str(uuid4())))


def buried(value: bytes, fault: Fault = Fault.REFUSED, topic: str = INTERACTIONS) -> Record:
    record = StoredRecord(topic, 0, 1, "u1", value, (("traceparent", b"x"),))
    return dead_letter(Dead(record, fault, "because"))


def log_of(*letters: Record) -> MemoryLog:
    log = MemoryLog()
    for letter in letters:
        log.append(letter)
    return log


async def replayed(log: MemoryLog, limit: int | None = None) -> Report:
    return await replay(log.records(INTERACTIONS_DLQ), log.publisher(), limit=limit)


def as_found(letter: Record) -> StoredRecord:
    return StoredRecord(letter.topic, 0, 0, letter.key, letter.value, letter.headers)


def test_a_letter_read_again_is_the_record_as_it_was() -> None:
    letter = read_letter(as_found(dead_letter(Dead(FOUND, Fault.UNREADABLE, "é\n\udcff" * 500))))

    assert letter.original == Record(INTERACTIONS, FOUND.key, FOUND.value, FOUND.headers)
    assert (letter.fault, letter.place, letter.whole) == (Fault.UNREADABLE, (INTERACTIONS, 3, 77), True)
    assert letter.reason.startswith("é\n")


def test_a_record_too_large_to_keep_is_told_by_its_size() -> None:
    large = FOUND._replace(value=b"x" * MAX_RECORD_BYTES)

    letter = dead_letter(Dead(large, Fault.UNREADABLE, "r"))

    assert letter == bare_letter(Dead(large, Fault.UNREADABLE, "r"))
    assert dict(letter.headers)["left-out-bytes"] == str(MAX_RECORD_BYTES).encode()
    assert read_letter(as_found(letter)).whole is False


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("traceparent", b"x"),),
        (("fault", b"no such"), ("reason", b""), ("topic", b"t"), ("partition", b"0"), ("offset", b"0")),
        (("fault", b"refused"), ("reason", b""), ("topic", b"t"), ("partition", b"x"), ("offset", b"0")),
    ],
    ids=["none", "others", "fault", "partition"],
)
def test_what_is_no_letter_is_told(headers: tuple[tuple[str, bytes], ...]) -> None:
    with pytest.raises(NoLetterError):
        read_letter(StoredRecord(INTERACTIONS_DLQ, 0, 0, "", b"", headers))


async def test_what_can_be_read_now_is_published_as_it_was() -> None:
    value = event()
    log = log_of(buried(value), buried(b"{}", Fault.UNREADABLE))

    report = await replayed(log)

    (back,) = log.records(INTERACTIONS)
    assert (back.key, back.value, back.headers) == ("u1", value, (("traceparent", b"x"),))
    assert (report.letters, report.published, report.left.total()) == (2, 1, 1)


async def test_a_served_page_goes_back_to_its_own_topic() -> None:
    page = (
        b'{"recommendationId":"r1","userId":"u1","feedSessionId":"s1","timestamp":"2025-09-01T00:00:00Z",'
        b'"algorithm":"a","source":"TRENDING","fallbackReason":"DEADLINE","modelVersion":"","experiments":[],'
        b'"firstPosition":1,"videoIds":["v1"],"scores":[1.0]}'
    )
    log = log_of(buried(page, topic=SERVED), buried(page, topic=SERVED), buried(event(), topic=SERVED))

    report = await replayed(log)

    assert [record.value for record in log.records(SERVED)] == [page]
    assert (report.published, report.repeated, report.left.total()) == (1, 1, 1)
    assert log.records(INTERACTIONS) == []


async def test_each_event_is_published_once_a_run_and_again_in_the_next() -> None:
    log = log_of(buried(value := event()), buried(value), buried(event()))

    assert (await replayed(log)).published == 2
    assert (await replayed(log)).published == 2
    assert len({record.value for record in log.records(INTERACTIONS)}) == 2


async def test_the_rest_is_left_with_its_reason() -> None:
    large = Dead(FOUND._replace(value=b"x" * MAX_RECORD_BYTES), Fault.UNREADABLE, "r")
    log = log_of(
        buried(b"", Fault.UNREADABLE),
        buried(event(), Fault.DAMAGED),
        buried(event(), topic="another"),
        bare_letter(large),
        Record(INTERACTIONS_DLQ, "", event()),
    )

    report = await replayed(log)

    assert log.records(INTERACTIONS) == []
    assert list(report.lines()) == [
        "5 dead letters",
        "0 published again",
        "5 left",
        "  1 unreadable: Input data was truncated",
        "  1 damaged: because",
        "  1 of another topic: another",
        "  1 too large: the record itself was not kept",
        "  1 it has not the headers of a dead letter",
    ]


async def test_no_more_than_the_limit_is_published() -> None:
    log = log_of(*(buried(event()) for _ in range(7)))

    report = await replayed(log, limit=3)

    assert (report.published, report.beyond, len(log.records(INTERACTIONS))) == (3, 4, 3)


async def test_a_dry_run_publishes_nothing_and_counts_the_same() -> None:
    log = log_of(buried(event()), buried(b"no json"))

    report = await replay(log.records(INTERACTIONS_DLQ), None)

    assert (report.published, report.left.total()) == (1, 1)
    assert log.records(INTERACTIONS) == []


async def test_a_letter_that_is_not_acknowledged_is_an_error() -> None:
    log = log_of(buried(event()), buried(event()))
    publisher = log.publisher()
    publisher.failures.append(NotAcknowledgedError("down"))

    with pytest.raises(NotAcknowledgedError):
        await replay(log.records(INTERACTIONS_DLQ), publisher)
