"""From `POST /feed/interactions` into the database: embedded, and on the real Kafka and PostgreSQL."""

import asyncio
import functools
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from confluent_kafka import Consumer, TopicPartition

import interactions.app
import interactions.sink.app
from deploy.local.process import free_port
from eventlog.adapters.journal_file import JournalFile
from eventlog.opening import open_publisher
from eventlog.ports import Durability, Record
from eventlog.topics import INTERACTIONS, INTERACTIONS_DLQ
from interactions.settings import InteractionsSettings
from interactions.sink.settings import SinkSettings
from runtime.process import Service
from runtime.settings import CommonSettings
from storage.database import Database
from storage.tables import trending, user_interactions
from tests.http import call
from tests.polling import until, wait_for
from tests.sink_loops import WORLDS, loop_settings

ROOT = Path(__file__).parents[3]


@dataclass
class Loop:
    """Where things are; both processes read the same settings."""

    settings: dict[str, Any]
    database: Database
    opened: AsyncExitStack

    async def ingest(self) -> Service:
        app = interactions.app.build(InteractionsSettings(**self.settings))
        return await self._run(Service("interactions", app))

    async def sink(self, http_port: int = 0) -> Service:
        """Starts a sink in this process; its port is its name in the group, 0: it has none."""
        app = interactions.sink.app.build(SinkSettings(**{**self.settings, "sink_http_port": http_port}))
        return await self._run(Service("sink", app, grpc_port=None, http_port=http_port))

    async def _run(self, service: Service) -> Service:
        await self.opened.enter_async_context(service)

        async def ready() -> int:
            try:
                return (await call(service.http_port, "GET", "/readyz")).status
            except ConnectionRefusedError:
                return 0

        await until(ready, 200, bound_s=60)
        return service

    async def ids(self) -> list[str]:
        async with self.database.read() as connection:
            return list(await connection.scalars(sa.select(user_interactions.c.event_id)))

    async def execute(self, statements: Mapping[str, str], *values: str) -> None:
        async with self.database.begin() as connection:
            await connection.exec_driver_sql(statements[connection.dialect.name].format(*values))

    async def weight(self, video_id: str) -> float:
        async with self.database.read() as connection:
            total = sa.select(sa.func.sum(trending.c.weight)).where(trending.c.video_id == video_id)
            return float(await connection.scalar(total) or 0)


@pytest.fixture(params=WORLDS)
async def loop(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Loop]:
    settings = loop_settings(request, tmp_path, interactions.sink.app.GROUP)
    database = Database(settings["database_url"])
    async with AsyncExitStack() as opened:
        yield Loop(settings, database, opened)
    await database.close()


def event(**fields: Any) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    made = {"eventId": str(uuid.uuid4()), "userId": "u1", "videoId": "v1", "interactionType": "LIKE", "timestamp": now}
    return made | fields


async def post(service: Service, payload: object) -> dict[str, Any]:
    body, headers = json.dumps(payload).encode(), {"content-type": "application/json"}
    answer = await call(service.http_port, "POST", "/feed/interactions", body, headers)
    assert answer.status == 200, answer.text
    found: dict[str, Any] = answer.json
    return found


def has(ask: Callable[[], Awaitable[list[str]]], wanted: set[str]) -> Callable[[], Awaitable[bool]]:
    async def answer() -> bool:
        return wanted <= set(await ask())

    return answer


def tells(service: Service, line: str) -> Callable[[], Awaitable[bool]]:
    async def answer() -> bool:
        return line in (await call(service.http_port, "GET", "/metrics")).text.splitlines()

    return answer


async def test_an_acknowledged_event_gets_into_the_database(loop: Loop) -> None:
    ingest, sink = await loop.ingest(), await loop.sink()
    sent = event(watchTime=3.5, metadata={"k": "v"})

    answer = await post(ingest, sent)

    await until(has(loop.ids, {sent["eventId"]}), expected=True)
    # A busy machine is slower than the 40 ms after which the journal takes over.
    assert answer["durability"] in ({"KAFKA", "JOURNAL"} if "kafka_bootstrap_servers" in loop.settings else {"JOURNAL"})
    metrics = (await call(sink.http_port, "GET", "/metrics")).text
    assert 'feed_sink_records_total{result="inserted",topic="feed.interactions.v1"}' in metrics


async def test_sent_twice_is_stored_once_also_across_a_restart(loop: Loop) -> None:
    ingest, video_id = await loop.ingest(), str(uuid.uuid4())
    events = [event(videoId=video_id) for _ in range(50)]
    await post(ingest, {"interactions": events})
    await loop.sink()
    await until(has(loop.ids, {each["eventId"] for each in events}), expected=True)
    assert await loop.weight(video_id) == pytest.approx(50 * 0.7)
    await loop.opened.aclose()

    ingest = await loop.ingest()
    last = event(videoId=video_id)
    await post(ingest, {"interactions": [*events, last]})
    await loop.sink()
    await until(has(loop.ids, {last["eventId"]}), expected=True)

    ids = await loop.ids()
    assert len(ids) == len(set(ids))
    assert await loop.weight(video_id) == pytest.approx(51 * 0.7)


async def publish(loop: Loop, value: bytes) -> None:
    publisher = open_publisher(CommonSettings(**loop.settings), topics=(INTERACTIONS,))
    await publisher.start()
    (outcome,) = await publisher.publish_many([Record(INTERACTIONS, "u1", value)])
    assert isinstance(outcome, Durability)
    await publisher.close()


async def test_poison_is_put_aside_and_nothing_waits_for_it(loop: Loop) -> None:
    ingest = await loop.ingest()
    await publish(loop, poison := f"poison {uuid.uuid4()}".encode())
    good = event()
    await post(ingest, good)

    sink = await loop.sink()

    await until(has(loop.ids, {good["eventId"]}), expected=True)
    await until(
        tells(sink, 'feed_sink_records_total{result="dead_lettered",topic="feed.interactions.v1"} 1.0'), expected=True
    )
    assert poison in dead_letters(loop)


MISTAKE = {
    "postgresql": "ALTER TABLE user_interactions ADD CONSTRAINT mistake CHECK (video_id <> '{}') NOT VALID",
    "sqlite": "CREATE TRIGGER mistake BEFORE INSERT ON user_interactions WHEN NEW.video_id = '{}'"
    " BEGIN SELECT RAISE(ABORT, 'mistake'); END",
}
MENDED = {"postgresql": "ALTER TABLE user_interactions DROP CONSTRAINT mistake", "sqlite": "DROP TRIGGER mistake"}


async def test_dead_letters_are_put_back_after_a_fix(loop: Loop) -> None:
    """A database that refuses what the contract allows: dead letters, a fix, `feed replay-dlq`, rows."""
    ingest, sink, video_id = await loop.ingest(), await loop.sink(), str(uuid.uuid4())
    await loop.execute(MISTAKE, video_id)
    refused = [event(videoId=video_id) for _ in range(3)]
    taken = [event() for _ in range(3)]
    await post(ingest, {"interactions": [*taken, *refused]})
    await publish(loop, poison := f"poison {uuid.uuid4()}".encode())
    await until(has(loop.ids, {each["eventId"] for each in taken}), expected=True)
    await until(functools.partial(has_dead_letters, loop, {poison}), expected=True)
    await until(
        tells(sink, 'feed_sink_dead_letters_total{fault="refused",topic="feed.interactions.v1"} 3.0'), expected=True
    )
    assert await loop.weight(video_id) == 0

    await loop.execute(MENDED)
    assert "3 published again" in await feed(loop, "replay-dlq", "--dry-run")
    assert await loop.weight(video_id) == 0
    told = await feed(loop, "replay-dlq")

    await until(has(loop.ids, {each["eventId"] for each in refused}), expected=True)
    assert "3 published again" in told
    assert "unreadable: JSON is malformed" in told
    await feed(loop, "replay-dlq")
    await post(ingest, last := event())
    await until(has(loop.ids, {last["eventId"]}), expected=True)
    assert await loop.weight(video_id) == pytest.approx(3 * 0.7)


async def feed(loop: Loop, *arguments: str) -> str:
    """Runs a `feed` command; returns what it says. Other tests' dead letters are in the topic too."""
    command = [sys.executable, "-m", "deploy.cli", *arguments]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=environment(loop), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def has_dead_letters(loop: Loop, values: set[bytes]) -> bool:
    return values <= set(await asyncio.to_thread(dead_letters, loop))


def dead_letters(loop: Loop) -> list[bytes]:
    kafka = loop.settings.get("kafka_bootstrap_servers")
    if kafka:
        return [message.value() or b"" for message in read_topic(kafka, INTERACTIONS_DLQ, partitions=1)]
    file = JournalFile(loop.settings["data_dir"] / "eventlog")
    try:
        return [record.value for record in file.read(INTERACTIONS_DLQ, 0, 10_000)]
    finally:
        file.close()


def read_topic(bootstrap_servers: str, topic: str, partitions: int) -> list[Any]:
    """Reads a whole topic with a plain client that knows nothing of ours."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap_servers, "group.id": str(uuid.uuid4()), "enable.partition.eof": True}
    )
    consumer.assign([TopicPartition(topic, number, 0) for number in range(partitions)])
    found, ended, deadline = [], 0, time.monotonic() + 20
    while ended < partitions:
        assert time.monotonic() < deadline
        message = consumer.poll(1)
        if message is not None and message.error():
            ended += 1
        elif message is not None:
            found.append(message)
    consumer.close()
    return found


@pytest.mark.kafka
@pytest.mark.parametrize("loop", ["real servers"], indirect=True)
async def test_an_independent_consumer_reads_what_was_acknowledged(loop: Loop) -> None:
    ingest = await loop.ingest()
    sent = event(userId="user:7", videoId="v9", interactionType="VIEW", watchTime=12.5)
    happened = datetime.now(UTC).replace(microsecond=123_456)
    sent["timestamp"] = happened.astimezone(timezone(timedelta(hours=2))).isoformat()

    await post(ingest, sent)

    def copies() -> list[Any]:
        found = read_topic(loop.settings["kafka_bootstrap_servers"], INTERACTIONS, partitions=6)
        return [message for message in found if sent["eventId"].encode() in message.value()]

    # It may have been in the journal first, and twice on its way from there.
    record = (await asyncio.to_thread(wait_for, copies, bool))[0]
    value = json.loads(record.value())
    assert record.key() == b"user:7"
    assert list(value) == ["userId", "videoId", "interactionType", "watchTime", "timestamp", "eventId"]
    assert (value["userId"], value["videoId"], value["interactionType"], value["watchTime"]) == (
        "user:7",
        "v9",
        "VIEW",
        12.5,
    )
    assert value["timestamp"] == f"{happened:%Y-%m-%dT%H:%M:%S}.123Z"
    headers = dict(record.headers() or [])
    assert headers == {"contract-version": b"v2025.9", "content-type": b"application/json"}


async def test_a_killed_sink_loses_and_doubles_nothing(loop: Loop) -> None:
    """SIGKILL three times in the middle of its work; then every event is there once, and counted once."""
    ingest, video_id = await loop.ingest(), str(uuid.uuid4())
    sent: list[str] = []
    stop = asyncio.Event()

    async def send() -> None:
        while not stop.is_set():
            events = [event(videoId=video_id) for _ in range(5)]
            await post(ingest, {"interactions": events})
            sent.extend(each["eventId"] for each in events)
            await asyncio.sleep(0.02)  # the pace of the load

    async def wrote_more_than(count: int) -> bool:
        return len(await loop.ids()) > count

    sending = asyncio.create_task(send())
    port = free_port()
    for _ in range(3):
        written = len(await loop.ids())
        with killed_at_the_end(loop, port):
            await until(functools.partial(wrote_more_than, written), expected=True, bound_s=60)
    stop.set()
    await sending
    await loop.sink(port)  # by its name it has the partitions of the killed one at once

    await until(has(loop.ids, set(sent)), expected=True, bound_s=60)
    ids = await loop.ids()
    assert len(ids) == len(set(ids))
    assert await loop.weight(video_id) == pytest.approx(len(sent) * 0.7)


def environment(loop: Loop) -> dict[str, str]:
    return {**os.environ, **{f"FEED_{name.upper()}": str(value) for name, value in loop.settings.items()}}


@contextmanager
def killed_at_the_end(loop: Loop, port: int) -> Iterator[None]:
    """A sink in a process of its own; its port is its name in the group."""
    environ = {**environment(loop), "FEED_SINK_HTTP_PORT": str(port)}
    process = subprocess.Popen(
        [sys.executable, "-m", "interactions.sink"], cwd=ROOT, env=environ, stdout=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
