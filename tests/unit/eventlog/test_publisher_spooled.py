"""Kafka first, the journal behind: a scripted Kafka, and a real journal."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from eventlog.adapters.backlog_journal import JournalBacklog
from eventlog.adapters.journal_file import JournalFile
from eventlog.adapters.publisher_journal import JournalPublisher
from eventlog.domain.router import Reason, Switched, Way
from eventlog.ports import (
    Durability,
    EventLogError,
    LogFullError,
    NotAcknowledgedError,
    Outcome,
    Record,
    RecordTooLargeError,
)
from eventlog.publisher_spooled import SpooledPublisher
from eventlog.reopening import ReopeningPublisher
from eventlog.telemetry import JournalMeasured, NoTelemetry
from tests.polling import until
from tests.unit.eventlog.scripted_kafka import ScriptedKafka

TOPIC = "t"
# So long that a busy machine does not make Kafka slow.
PATIENT_S = 5.0

KAFKA, JOURNAL = Durability.KAFKA, Durability.JOURNAL
Opener = Callable[..., Awaitable[SpooledPublisher]]


@dataclass
class Heard(NoTelemetry):
    """What was told."""

    ways: list[Switched] = field(default_factory=list)
    measured: list[JournalMeasured] = field(default_factory=list)
    relayed_records: int = 0

    def switched(self, record: Switched) -> None:
        self.ways.append(record)

    def relayed(self, records: int) -> None:
        self.relayed_records += records

    def journal_measured(self, record: JournalMeasured) -> None:
        self.measured.append(record)


@pytest.fixture
def kafka() -> ScriptedKafka:
    return ScriptedKafka()


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
async def open_publisher(kafka: ScriptedKafka, heard: Heard, path: Path) -> AsyncIterator[Opener]:
    async with AsyncExitStack() as opened:

        async def make(wait_s: float = PATIENT_S, max_bytes: int = 100_000_000) -> SpooledPublisher:
            publisher = SpooledPublisher(
                kafka,
                ReopeningPublisher(lambda: JournalPublisher(path, max_bytes=max_bytes)),
                JournalBacklog(path, (TOPIC,)),
                telemetry=heard,
                wait_s=wait_s,
                publish_timeout_s=2,
            )
            opened.push_async_callback(publisher.close)
            await publisher.start()
            return publisher

        yield make


async def until_way(publisher: SpooledPublisher, way: Way) -> None:
    async def now() -> Way:
        return publisher.way

    await until(now, way)


async def until_queued(kafka: ScriptedKafka, count: int) -> None:
    """Waits until at least so many records are in Kafka's queue."""

    async def queued() -> bool:
        return len(kafka.queue) >= count

    await until(queued, expected=True)


def records(*values: str) -> list[Record]:
    return [Record(TOPIC, "k", value.encode()) for value in values]


def firsts(kafka: ScriptedKafka) -> list[str]:
    """Returns what is in the topic, first copies only."""
    return list(dict.fromkeys(record.value.decode() for record in kafka.topic))


def kinds(outcomes: Sequence[Outcome]) -> list[object]:
    return [outcome if isinstance(outcome, Durability) else type(outcome) for outcome in outcomes]


async def test_a_kafka_that_confirms_in_time_is_all_there_is(kafka: ScriptedKafka, open_publisher: Opener, path: Path):
    publisher = await open_publisher()
    await until_way(publisher, Way.KAFKA)

    assert await publisher.publish_many(records("a", "b")) == [KAFKA, KAFKA]

    assert firsts(kafka) == ["a", "b"]
    assert JournalFile(path).next_offset(TOPIC) is None


async def test_what_kafka_does_not_confirm_in_time_is_in_the_journal(
    kafka: ScriptedKafka, open_publisher: Opener, heard: Heard
):
    publisher = await open_publisher(wait_s=0.04)
    await until_way(publisher, Way.KAFKA)
    kafka.latency_s = None

    assert await publisher.publish_many(records("a", "b")) == [JOURNAL, JOURNAL]

    assert heard.ways[-1] == Switched(Way.JOURNAL, Reason.SLOW)
    assert kafka.topic == []


async def test_new_records_go_behind_the_old_ones(kafka: ScriptedKafka, open_publisher: Opener):
    publisher = await open_publisher(wait_s=0.04)
    await until_way(publisher, Way.KAFKA)
    kafka.latency_s = None
    calls = [asyncio.create_task(publisher.publish_many(records(str(number)))) for number in range(20)]
    await asyncio.gather(*calls)
    await publisher.publish_many(records("20"))
    await until_queued(kafka, 40)  # each of the twenty twice: from the callers, and from the relay

    kafka.latency_s = 0.001
    kafka.confirm()
    await until_way(publisher, Way.KAFKA)
    assert await publisher.publish_many(records("21")) == [KAFKA]

    assert firsts(kafka) == [str(number) for number in range(22)]


async def test_of_a_call_only_what_is_not_confirmed_goes_into_the_journal(
    kafka: ScriptedKafka, open_publisher: Opener, path: Path
):
    publisher = await open_publisher(wait_s=0.2)
    await until_way(publisher, Way.KAFKA)
    kafka.latency_s = None
    call = asyncio.create_task(publisher.publish_many(records("a", "b", "c")))
    await until_queued(kafka, 3)

    kafka.confirm(1)

    assert await call == [KAFKA, JOURNAL, JOURNAL]
    assert [found.value for found in JournalFile(path).read(TOPIC, 0, 10)] == [b"b", b"c"]


async def test_a_kafka_known_to_be_down_is_not_waited_for(kafka: ScriptedKafka, open_publisher: Opener):
    publisher = await open_publisher()
    await until_way(publisher, Way.KAFKA)
    kafka.problem = "no Kafka broker answers"

    assert await publisher.publish_many(records("a")) == [JOURNAL]

    assert not kafka.queue
    assert publisher.not_ready() is None


async def test_a_full_queue_of_kafka_refuses_nobody(kafka: ScriptedKafka, open_publisher: Opener, heard: Heard):
    publisher = await open_publisher()
    await until_way(publisher, Way.KAFKA)
    kafka.latency_s, kafka.room = None, 2

    assert await publisher.publish_many(records("a", "b", "c")) == [JOURNAL] * 3

    assert heard.ways[-1] == Switched(Way.JOURNAL, Reason.REFUSED)
    kafka.latency_s, kafka.room = 0.001, 100
    kafka.confirm()
    await until_way(publisher, Way.KAFKA)
    assert firsts(kafka) == ["a", "b", "c"]


async def test_a_record_that_kafka_finds_too_large_is_refused_alone(kafka: ScriptedKafka, open_publisher: Opener):
    publisher = await open_publisher()
    await until_way(publisher, Way.KAFKA)
    kafka.latency_s = None
    call = asyncio.create_task(publisher.publish_many(records("a", "b")))
    await until_queued(kafka, 2)

    kafka.refuse(1, RecordTooLargeError("told to"))
    kafka.confirm()

    assert kinds(await call) == [RecordTooLargeError, KAFKA]
    assert publisher.way is Way.KAFKA


async def test_what_an_earlier_process_left_goes_first(kafka: ScriptedKafka, open_publisher: Opener, path: Path):
    file = JournalFile(path)
    file.append(records("old1", "old2"))
    file.close()
    kafka.problem = "no Kafka broker answers"
    publisher = await open_publisher()

    assert await publisher.publish_many(records("new1")) == [JOURNAL]
    assert kafka.topic == []

    kafka.problem = None
    await until_way(publisher, Way.KAFKA)
    await publisher.publish_many(records("new2"))
    assert firsts(kafka) == ["old1", "old2", "new1", "new2"]


async def test_the_relay_starts_again_from_the_first_that_failed(
    kafka: ScriptedKafka, open_publisher: Opener, path: Path, heard: Heard
):
    file = JournalFile(path)
    file.append(records("a", "b", "c", "d"))
    file.close()
    kafka.latency_s = None
    publisher = await open_publisher()
    await until_queued(kafka, 4)

    kafka.confirm(1)
    kafka.refuse(1)
    kafka.refuse(2)
    kafka.latency_s = 0.001
    await until_way(publisher, Way.KAFKA)

    assert [record.value for record in kafka.topic] == [b"a", b"b", b"c", b"d"]
    assert heard.relayed_records == 4


async def test_a_slow_kafka_does_not_make_callers_wait(kafka: ScriptedKafka, open_publisher: Opener, heard: Heard):
    """Each confirmation takes longer than the wait: everything goes through the journal, and on to Kafka."""
    publisher = await open_publisher(wait_s=0.05)
    await until_way(publisher, Way.KAFKA)
    kafka.latency_s = 0.2
    answers = [await publisher.publish_many(records(str(number))) for number in range(30)]

    assert answers == [[JOURNAL]] * 30
    assert [switched.way for switched in heard.ways] == [Way.KAFKA, Way.JOURNAL]

    async def arrived() -> list[str]:
        return firsts(kafka)

    await until(arrived, [str(number) for number in range(30)])


async def test_a_full_journal_refuses_before_the_acknowledgement(kafka: ScriptedKafka, open_publisher: Opener):
    kafka.problem = "no Kafka broker answers"
    publisher = await open_publisher(max_bytes=300_000)
    big = [Record(TOPIC, "k", b"x" * 50_000)]
    outcomes: list[Outcome] = []
    while not outcomes or outcomes[-1] is JOURNAL:
        outcomes += await publisher.publish_many(big)

    assert isinstance(outcomes[-1], LogFullError)
    assert outcomes[-1].retry_after_s > 0
    assert kinds(await publisher.publish_many(big)) == [LogFullError]
    assert "no Kafka broker answers; the journal holds" in str(publisher.not_ready())

    kafka.problem = None
    await until_way(publisher, Way.KAFKA)
    assert len(kafka.topic) == len(outcomes) - 1
    assert await publisher.publish_many(big) == [KAFKA]


async def test_a_full_journal_is_not_tried_by_everybody(
    kafka: ScriptedKafka, open_publisher: Opener, monkeypatch: pytest.MonkeyPatch
):
    """Who is refused sends again at once; each attempt would wait for the disk, and so would everybody behind it."""
    kafka.problem = "no Kafka broker answers"
    publisher = await open_publisher(max_bytes=300_000)
    tried = 0
    write = JournalFile.append

    def counted(file: JournalFile, records: Sequence[Record]) -> None:
        nonlocal tried
        tried += 1
        write(file, records)

    monkeypatch.setattr(JournalFile, "append", counted)
    monkeypatch.setattr("eventlog.publisher_spooled._FULL_S", 60.0)
    big = [Record(TOPIC, "k", b"x" * 50_000)]
    while kinds(await publisher.publish_many(big)) != [LogFullError]:
        pass
    before = tried
    assert kinds([(await publisher.publish_many(big))[0] for _ in range(50)]) == [LogFullError] * 50
    assert tried == before

    kafka.problem = None
    await until_way(publisher, Way.KAFKA)
    assert await publisher.publish_many(big) == [KAFKA]


@pytest.fixture
def in_the_way(path: Path) -> Path:
    """A file where the journal's folder should be."""
    path.write_text("")
    return path


async def test_large_records_are_relayed_a_few_at_a_time(kafka: ScriptedKafka, open_publisher: Opener, path: Path):
    """Else a window of 4,000 could take 240 MB of memory."""
    file = JournalFile(path)
    for number in range(50):
        file.append([Record(TOPIC, "k", bytes([number, place]) + b"x" * 50_000) for place in range(10)])
    file.close()
    kafka.latency_s = None
    await open_publisher()
    await until_queued(kafka, 200)

    kafka.confirm()
    await until_queued(kafka, 1)

    assert len(kafka.queue) * 50_000 < 10_000_000
    kafka.latency_s = 0.001
    kafka.confirm()

    async def arrived() -> int:
        return len(kafka.topic)

    await until(arrived, 500)
    assert [record.value[:2] for record in kafka.topic] == [bytes([n // 10, n % 10]) for n in range(500)]


async def test_without_a_journal_kafka_goes_on_alone(kafka: ScriptedKafka, in_the_way: Path, open_publisher: Opener):
    publisher = await open_publisher(wait_s=0.02)
    await until_way(publisher, Way.KAFKA)

    assert publisher.not_ready() is None
    assert await publisher.publish_many(records("a")) == [KAFKA]

    kafka.latency_s = 0.3
    assert await publisher.publish_many(records("b")) == [KAFKA]

    kafka.problem = "no Kafka broker answers"
    assert "no Kafka broker answers; the journal" in str(publisher.not_ready())
    assert kinds(await publisher.publish_many(records("c"))) == [NotAcknowledgedError]

    await asyncio.to_thread(in_the_way.unlink)

    async def problem() -> str | None:
        return publisher.not_ready()

    await until(problem, None)
    assert await publisher.publish_many(records("d")) == [JOURNAL]


async def test_closing_leaves_in_the_journal_what_kafka_has_not(
    kafka: ScriptedKafka, open_publisher: Opener, path: Path
):
    publisher = await open_publisher(wait_s=0.04)
    await until_way(publisher, Way.KAFKA)
    kafka.latency_s = None
    call = asyncio.create_task(publisher.publish_many(records("a")))
    await until_queued(kafka, 1)

    await publisher.close()

    assert await call == [JOURNAL]
    assert [found.value for found in JournalFile(path).read(TOPIC, 0, 10)] == [b"a"]
    assert kinds(await publisher.publish_many(records("b"))) == [NotAcknowledgedError]


async def test_what_was_relayed_is_not_relayed_again(kafka: ScriptedKafka, open_publisher: Opener):
    kafka.problem = "no Kafka broker answers"
    first = await open_publisher()
    await first.publish_many(records("a"))
    kafka.problem = None
    await until_way(first, Way.KAFKA)
    await first.close()

    second = await open_publisher()
    await until_way(second, Way.KAFKA)

    assert [record.value for record in kafka.topic] == [b"a"]


async def test_the_time_of_acceptance_goes_along(kafka: ScriptedKafka, open_publisher: Opener, path: Path):
    kafka.problem = "no Kafka broker answers"
    publisher = await open_publisher()
    await publisher.publish_many(records("a"))
    (stored,) = JournalFile(path).read(TOPIC, 0, 1)
    kafka.problem = None
    await until_way(publisher, Way.KAFKA)

    assert [record.append_time_ms for record in kafka.topic] == [stored.append_time_ms]


async def test_what_waits_in_the_journal_is_told(kafka: ScriptedKafka, open_publisher: Opener, heard: Heard):
    kafka.problem = "no Kafka broker answers"
    publisher = await open_publisher()
    await publisher.publish_many(records("a", "b", "c"))

    async def waiting() -> int:
        found = heard.measured[-1].waiting if heard.measured else None
        return -1 if found is None else found

    await until(waiting, 3)
    kafka.latency_s, kafka.problem = None, None  # the relay has sent them, and hears nothing
    await until_queued(kafka, 3)
    await publisher.publish_many(records("d"))
    await until(waiting, 4)
    assert heard.measured[-1].bytes_used > 0
    assert 0 < heard.measured[-1].oldest_age_s < 60

    kafka.latency_s = 0.001
    kafka.confirm()
    await until(waiting, 0)
    assert heard.measured[-1].oldest_age_s == 0


async def test_a_journal_that_another_process_relays_is_left_alone(open_publisher: Opener, path: Path):
    await until_way(await open_publisher(), Way.KAFKA)

    with pytest.raises(EventLogError, match="another relay of this journal is running"):
        await JournalBacklog(path, (TOPIC,)).positions()
