"""From a served page into the database: embedded, and on the real Kafka and PostgreSQL."""

import asyncio
import functools
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry

import interactions.sink.app
from bridge.adapters.system import SystemClock
from bridge.domain.outcome import FallbackReason, Source
from bridge.domain.served_record import ServedRecord, instant
from bridge.served import ServedLog
from bridge.served_metrics import ServedMetrics
from deploy.local.process import free_port
from eventlog.adapters.journal_file import JournalFile
from eventlog.opening import open_publisher
from eventlog.ports import Record, StoredRecord
from eventlog.topics import INTERACTIONS_DLQ, SERVED
from interactions.sink.settings import SinkSettings
from runtime.process import Service
from runtime.settings import CommonSettings
from storage.database import Database
from storage.tables import feed_cache, recommendation_decisions
from tests.http import call
from tests.polling import until
from tests.sink_loops import WORLDS, loop_settings

ROOT = Path(__file__).parents[3]
VIDEOS = ("v1", "v2", "v3")


@dataclass
class Loop:
    """Where things are; bridge and sink read the same settings."""

    settings: dict[str, Any]
    database: Database
    opened: AsyncExitStack

    async def sink(self, http_port: int = 0) -> Service:
        """Starts a sink in this process; its port is its name in the group, 0: it has none."""
        app = interactions.sink.app.build(SinkSettings(**{**self.settings, "sink_http_port": http_port}))
        service = Service("sink", app, grpc_port=None, http_port=http_port)
        await self.opened.enter_async_context(service)

        async def ready() -> int:
            try:
                return (await call(service.http_port, "GET", "/readyz")).status
            except ConnectionRefusedError:
                return 0

        await until(ready, 200, bound_s=60)
        return service

    @asynccontextmanager
    async def bridge(self) -> AsyncIterator[ServedLog]:
        """The part of a bridge that tells of served pages."""
        settings = CommonSettings(**self.settings)
        publisher = open_publisher(
            settings, topics=(SERVED,), spool=settings.data_dir / "bridge" / "served", kafka_wait_s=0.25
        )
        served = ServedLog(publisher, SystemClock(), ServedMetrics(CollectorRegistry()), max_records=20_000)
        await served.start()
        try:
            yield served
        finally:
            await served.stop()

    async def pages(self) -> list[str]:
        async with self.database.read() as connection:
            return list(await connection.scalars(sa.select(feed_cache.c.recommendation_id)))

    async def decisions(self) -> list[tuple[str, int, str]]:
        columns = recommendation_decisions.c
        async with self.database.read() as connection:
            found = await connection.execute(sa.select(columns.recommendation_id, columns.position, columns.video_id))
            return [(row.recommendation_id, row.position, row.video_id) for row in found]

    async def has(self, wanted: set[str]) -> bool:
        return wanted <= set(await self.pages())

    async def require_exactly(self, told: Sequence[ServedRecord]) -> None:
        """Every page is there once, and every video of it; other tests' pages may be there, too."""
        ids = [each for each in await self.pages() if each.startswith(told[0].feed_session_id)]
        rows = [row for row in await self.decisions() if row[0].startswith(told[0].feed_session_id)]
        assert sorted(ids) == sorted({each.recommendation_id for each in told})
        assert sorted(rows) == sorted(
            (recommendation_id, 1 + place, video_id)
            for recommendation_id in set(ids)
            for place, video_id in enumerate(VIDEOS)
        )


@pytest.fixture(params=WORLDS)
async def loop(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Loop]:
    settings = loop_settings(request, tmp_path, interactions.sink.app.SERVED_GROUP)
    database = Database(settings["database_url"])
    async with AsyncExitStack() as opened:
        yield Loop(settings, database, opened)
    await database.close()


def served_pages(count: int) -> list[ServedRecord]:
    session = uuid.uuid4().hex
    return [_page(session, number) for number in range(count)]


def _page(session: str, number: int) -> ServedRecord:
    return ServedRecord(
        recommendation_id=f"{session}-{number}",
        user_id=f"u{number % 7}",
        feed_session_id=session,
        timestamp=instant(int(time.time() * 1000)),  # an old one would expire at once
        algorithm="lightfm-warp",
        source=Source.LIGHTFM,
        fallback_reason=FallbackReason.NONE,
        model_version="m1",
        rung="",
        continued=False,
        experiments=(),
        first_position=1,
        video_ids=VIDEOS,
        scores=(3.0, 2.0, 1.0),
        attempts=1,
        elapsed_ms=2.5,
    )


def ids_of(pages: Sequence[ServedRecord]) -> set[str]:
    return {each.recommendation_id for each in pages}


async def test_a_served_page_gets_into_both_tables_once_also_when_told_twice(loop: Loop) -> None:
    sink, pages = await loop.sink(), served_pages(120)
    async with loop.bridge() as served:
        for each in [*pages, *pages]:
            served.take(each)
    async with loop.bridge() as served:  # another process tells some of them again
        for each in [*pages[:50], last := _page(pages[0].feed_session_id, 999)]:
            served.take(each)
        # What Kafka does not take at once lies in the journal, from where a bridge that runs brings it.
        await until(functools.partial(loop.has, ids_of([*pages, last])), expected=True, bound_s=30)
    await loop.require_exactly([*pages, last])
    metrics = (await call(sink.http_port, "GET", "/metrics")).text
    assert 'feed_sink_records_total{result="inserted",topic="feed.served.v1"}' in metrics
    assert 'feed_sink_lag_records{topic="feed.interactions.v1"}' in metrics


async def test_several_bridges_tell_at_a_time(loop: Loop) -> None:
    """Embedded they append to one journal."""
    await loop.sink()
    pages = served_pages(300)
    async with loop.bridge() as first, loop.bridge() as second:
        for one, other in zip(pages[:150], pages[150:], strict=True):
            first.take(one)
            second.take(other)
        await until(functools.partial(loop.has, ids_of(pages)), expected=True, bound_s=30)
    await loop.require_exactly(pages)


async def test_poison_is_put_aside_and_nothing_waits_for_it(loop: Loop) -> None:
    sink, (good,) = await loop.sink(), served_pages(1)
    publisher = open_publisher(CommonSettings(**loop.settings), topics=(SERVED,))
    await publisher.start()
    await publisher.publish_many([Record(SERVED, good.user_id, b"poison")])
    await publisher.close()
    async with loop.bridge() as served:
        served.take(good)
        await until(functools.partial(loop.has, ids_of([good])), expected=True, bound_s=30)

    async def dead() -> bool:
        metrics = (await call(sink.http_port, "GET", "/metrics")).text
        return 'feed_sink_dead_letters_total{fault="unreadable",topic="feed.served.v1"} 1.0' in metrics

    await until(dead, expected=True)
    if "kafka_bootstrap_servers" not in loop.settings:
        (letter,) = read_journal(loop.settings["data_dir"] / "eventlog", INTERACTIONS_DLQ)
        assert (letter.value, dict(letter.headers)["topic"]) == (b"poison", SERVED.encode())


async def test_a_killed_sink_loses_and_doubles_nothing(loop: Loop) -> None:
    """SIGKILL twice in the middle of its work; then every page is there once."""
    pages = served_pages(6_000)
    rest = iter(pages)

    async def wrote_more_than(count: int) -> bool:
        return len(await loop.pages()) > count

    port = free_port()
    async with loop.bridge() as served:
        for _ in range(2):
            for each in islice(rest, 2_500):
                served.take(each)
            written = len(await loop.pages())
            with killed_at_the_end(loop, port):
                await until(functools.partial(wrote_more_than, written), expected=True, bound_s=60)
        for each in rest:
            served.take(each)
        await loop.sink(port)  # by its name it has the partitions of the killed one at once
        await until(functools.partial(loop.has, ids_of(pages)), expected=True, bound_s=60)
    await loop.require_exactly(pages)


@contextmanager
def killed_at_the_end(loop: Loop, port: int) -> Iterator[None]:
    """A sink in a process of its own; its port is its name in the group."""
    environ = {f"FEED_{name.upper()}": str(value) for name, value in loop.settings.items()}
    environ = {**os.environ, **environ, "FEED_SINK_HTTP_PORT": str(port)}
    process = subprocess.Popen(
        [sys.executable, "-m", "interactions.sink"], cwd=ROOT, env=environ, stdout=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


async def test_while_kafka_is_away_the_journal_behind_keeps_the_records(tmp_path: Path) -> None:
    """Nothing waits for Kafka, and nothing is lost: the next bridge with a Kafka relays them."""
    settings = {"data_dir": tmp_path, "kafka_bootstrap_servers": f"127.0.0.1:{free_port()}"}
    pages = served_pages(1_000)
    async with Loop(settings, None, AsyncExitStack()).bridge() as served:  # type: ignore[arg-type]  # no database
        for each in pages:
            served.take(each)

        async def waiting() -> int:
            await asyncio.sleep(0)
            return served.count

        await until(waiting, 0)

    kept = read_journal(tmp_path / "bridge" / "served", SERVED)
    assert [json.loads(record.value)["recommendationId"] for record in kept] == [
        each.recommendation_id for each in pages
    ]


def read_journal(path: Path, topic: str) -> list[StoredRecord]:
    file = JournalFile(path)
    try:
        return list(file.read(topic, 0, 10_000))
    finally:
        file.close()
