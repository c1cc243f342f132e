"""What every tail promises, whatever the log is made of."""

import time
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from deploy.local.kafka import LocalKafka
from eventlog import topics
from eventlog.adapters.journal_file import JournalFile
from eventlog.adapters.publisher_journal import JournalPublisher
from eventlog.adapters.publisher_kafka import KafkaPublisher
from eventlog.adapters.tail_journal import JournalTail
from eventlog.adapters.tail_kafka import KafkaTail
from eventlog.ports import ConsumeError, Durability, Publisher, Record, StoredRecord
from eventlog.tail import Tail

BOUND_S = 15.0


class Log:
    """A log with an empty topic."""

    def __init__(self, topic: str, publisher: Publisher, make_tail: Callable[[str], Tail]) -> None:
        self.topic = topic
        self.publisher = publisher
        self.make_tail = make_tail
        self._tails: list[Tail] = []

    def tail(self, *, from_oldest: bool) -> Tail:
        tail = self.make_tail(self.topic)
        self._tails.append(tail)
        tail.start(from_oldest=from_oldest)
        return tail

    async def publish(self, *values: bytes) -> None:
        outcomes = await self.publisher.publish_many([Record(self.topic, "u1", value) for value in values])
        assert set(outcomes) <= set(Durability)

    def close(self) -> None:
        for tail in self._tails:
            tail.close()


def kafka_log(kafka: LocalKafka, topic: str) -> Log:
    config = {"bootstrap.servers": kafka.bootstrap_servers}
    topics.apply(config, specs=[topics.TopicSpec(topic, partitions=3, retention_ms=3_600_000)])
    return Log(topic, KafkaPublisher(config, topics=[topic]), lambda topic: KafkaTail(config, topic))


@pytest.fixture(params=["journal", pytest.param("kafka", marks=pytest.mark.kafka)])
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Log]:
    topic = f"test.{uuid.uuid4().hex}"
    if request.param == "journal":
        path = tmp_path / "journal"
        found = Log(topic, JournalPublisher(path), lambda topic: JournalTail(path, topic))
    else:
        found = kafka_log(request.getfixturevalue("kafka"), topic)
    await found.publisher.start()
    yield found
    found.close()
    await found.publisher.close()


def read(tail: Tail, count: int) -> list[bytes]:
    """Polls until so many records came, and then once more to see that there are no others."""
    found: list[StoredRecord] = []
    end = time.monotonic() + BOUND_S
    while len(found) < count and time.monotonic() < end:
        found += tail.poll(100, 0.2)
    return [record.value for record in found + tail.poll(100, 0.1)]


async def test_it_shows_what_comes_from_now_on(log: Log) -> None:
    await log.publish(b"before")
    tail = log.tail(from_oldest=False)
    await log.publish(b"1", b"2")
    assert read(tail, 2) == [b"1", b"2"]
    await log.publish(b"3")
    assert read(tail, 1) == [b"3"]


async def test_it_shows_all_there_is_when_asked(log: Log) -> None:
    await log.publish(b"1", b"2")
    tail = log.tail(from_oldest=True)
    await log.publish(b"3")
    assert read(tail, 3) == [b"1", b"2", b"3"]


async def test_two_tails_each_show_everything(log: Log) -> None:
    await log.publish(b"1")
    assert [read(log.tail(from_oldest=True), 1) for _ in range(2)] == [[b"1"], [b"1"]]


async def test_an_empty_topic_shows_its_first_record(log: Log) -> None:
    tail = log.tail(from_oldest=False)
    assert tail.poll(10, 0.01) == []
    await log.publish(b"first")
    assert read(tail, 1) == [b"first"]


async def test_a_tail_that_was_not_started_cannot_be_read(log: Log) -> None:
    tail = log.make_tail(log.topic)
    with pytest.raises(ConsumeError, match="not started"):
        tail.poll(1, 0)
    tail.close()


@pytest.mark.kafka
def test_kafka_without_the_topic_is_told(kafka: LocalKafka) -> None:
    tail = KafkaTail({"bootstrap.servers": kafka.bootstrap_servers}, "no.such.topic")
    with pytest.raises(ConsumeError, match=r"lacks the topic no\.such\.topic"):
        tail.start(from_oldest=True)
    tail.close()


@pytest.mark.kafka
async def test_kafka_knows_of_no_group(kafka: LocalKafka) -> None:
    """A group would need rights of its own, and would show in every lag dashboard."""
    log = kafka_log(kafka, f"test.{uuid.uuid4().hex}")
    await log.publisher.start()
    await log.publish(b"1")
    assert read(log.tail(from_oldest=True), 1) == [b"1"]
    log.close()
    await log.publisher.close()

    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    groups = admin.list_consumer_groups().result(BOUND_S).valid
    assert "feed-tail" not in {group.group_id for group in groups}


async def test_the_journal_keeps_nothing_for_it(tmp_path: Path) -> None:
    """Records are dropped when every reader has passed them; a tail is no reader."""
    path, topic = tmp_path / "journal", "test"
    publisher = JournalPublisher(path)
    await publisher.start()
    await publisher.publish_many([Record(topic, "u1", b"1")])
    before = sorted(each.name for each in path.rglob("*"))
    tail = JournalTail(path, topic)
    tail.start(from_oldest=True)
    assert read(tail, 1) == [b"1"]
    tail.close()
    await publisher.close()

    assert sorted(each.name for each in path.rglob("*")) == before
    file = JournalFile(path)
    assert file.next_offset(topic) is not None
    file.close()
