"""Several sinks on one topic: they share it, one goes on where another ended, and every event counts once."""

import itertools
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Producer

from deploy.local.kafka import LocalKafka
from deploy.local.postgres import LocalPostgres
from deploy.topics import declared
from eventlog import topics
from storage.database import upgrade
from tests.chaos.events import Event, Stream
from tests.chaos.ledger import trend
from tests.chaos.processes import Running
from tests.chaos.sending import new_run
from tests.chaos.stores import TOPIC, Table
from tests.chaos.watching import read_metrics
from tests.databases import fresh_postgres_url
from tests.polling import wait_for
from tests.system import free_ports

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

# A killed sink holds its partitions until its session ends (10 s), and machines are slow.
TAKE_OVER_S = 60.0


class Sinks:
    """Sinks on one topic and one database."""

    def __init__(self, folder: Path, kafka: str, database_url: str, ports: Sequence[int]) -> None:
        self._folder = folder
        self._environ = {"FEED_DATABASE_URL": database_url, "FEED_KAFKA_BOOTSTRAP_SERVERS": kafka}
        self._ports = iter(ports)
        self._producer = Producer({"bootstrap.servers": kafka, "partitioner": "murmur2_random", "log_level": 2})
        self._stream = Stream(new_run(), users=300, repeats=True)
        self._next = 0
        self.table = Table(database_url)
        self.closing = ExitStack()

    def pair(self) -> tuple[Running, Running]:
        """Starts two sinks at the same time."""
        first, second = self._launched(), self._launched()
        first.wait_until_ready()
        second.wait_until_ready()
        return first, second

    def publish(self, count: int) -> None:
        for _ in range(count):
            event: Event = self._stream.event(self._next, time.time_ns() // 1_000_000)
            self._producer.produce(TOPIC, msgspec.json.encode(event), key=event["userId"])
            self._producer.poll(0)
            self._next += 1
        assert self._producer.flush(30) == 0

    def until_written(self) -> None:
        """Waits until every event is there, then looks that none is there twice, nor counted twice."""
        sent = {self._stream.event_id(number) for number in range(self._next)}
        wait_for(lambda: len(sent - self.table.ids()), (0).__eq__, TAKE_OVER_S)
        rows = list(self.table.rows())
        # The events of other tests are in the topic too.
        ids = [row.event["eventId"] for row in rows]
        assert len(ids) == len(set(ids))
        assert {each for each in ids if each.startswith(self._stream.run)} == sent
        wait_for(self.table.trending, lambda total: total == pytest.approx(trend(rows)))

    def until(self, ask: Callable[[], bool]) -> None:
        """Goes on publishing until something is so."""
        end_s = time.monotonic() + TAKE_OVER_S
        while not ask():
            assert time.monotonic() < end_s
            self.publish(100)
            time.sleep(0.1)  # the pace of the load

    def _launched(self) -> Running:
        port = next(self._ports)
        environ = {"FEED_SINK_HTTP_PORT": str(port), "FEED_DATA_DIR": str(self._folder), **self._environ}
        made = Running(f"sink-{port}", ("-m", "interactions.sink"), environ, self._folder, 0, port)
        self.closing.callback(made.stop)
        made.launch()
        return made


@pytest.fixture(scope="module")
def ports() -> list[int]:
    """The same for all tests: a sink is known in the group by its port, and others wait for its session to end."""
    return list(itertools.islice(free_ports(), 2))


@pytest.fixture
def sinks(tmp_path: Path, kafka: LocalKafka, postgres: LocalPostgres, ports: list[int]) -> Iterator[Sinks]:
    topics.apply({"bootstrap.servers": kafka.bootstrap_servers}, specs=declared().topics, say=lambda _line: None)
    upgrade(url := fresh_postgres_url(postgres.url))
    made = Sinks(tmp_path, kafka.bootstrap_servers, url, ports)
    yield made
    made.closing.close()
    made.table.close()


def inserted(sink: Running) -> float:
    return read_metrics(sink.http_port).total("feed_sink_records_total", result="inserted")


def rebalances(sink: Running) -> float:
    return read_metrics(sink.http_port).total("feed_eventlog_rebalances_total")


def test_two_sinks_share_the_topic_and_one_takes_over_from_the_other(sinks: Sinks):
    """Scale by starting more; kill one: the other goes on with everything; start it again: it has its share back."""
    first, second = sinks.pair()
    sinks.until(lambda: inserted(first) > 0 and inserted(second) > 0)
    sinks.until_written()

    second.kill()
    sinks.publish(2_000)
    sinks.until_written()

    second.start()
    sinks.until(lambda: inserted(second) > 0)
    sinks.until_written()


def test_a_sink_that_is_killed_in_the_middle_of_its_work_leaves_nothing_half_done(sinks: Sinks):
    first, second = sinks.pair()
    sinks.until(lambda: inserted(first) > 0 and inserted(second) > 0)
    for _ in range(2):
        sinks.publish(4_000)
        second.kill()
        second.start()
    sinks.until_written()


def test_a_sink_started_again_has_its_partitions_back_without_a_rebalance(sinks: Sinks):
    """Static membership: the others never notice."""
    first, second = sinks.pair()
    sinks.until(lambda: inserted(first) > 0 and inserted(second) > 0)
    before = rebalances(first)

    second.stop()
    second.start()
    sinks.until(lambda: inserted(second) > 0)
    sinks.until_written()

    assert rebalances(first) == before


def test_a_sink_that_was_stopped_for_long_does_no_harm(sinks: Sinks):
    """A zombie: its session ended, the other one has its partitions, and then it wakes up with a batch in hand."""
    first, second = sinks.pair()
    sinks.until(lambda: inserted(first) > 0 and inserted(second) > 0)
    second.send(signal.SIGSTOP)
    sinks.publish(3_000)
    sinks.until_written()

    second.send(signal.SIGCONT)
    sinks.until(lambda: inserted(second) > 0)
    sinks.until_written()
