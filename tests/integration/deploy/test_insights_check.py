"""`feed insights check`: whatever is damaged on the way of a page is found (issue 8, item 2)."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
import sqlalchemy as sa
import typer
from typer.testing import CliRunner, Result

from bridge.domain.outcome import FallbackReason, Source
from bridge.domain.served_record import ServedExperiment, ServedRecord, encode, instant
from deploy.insights_check import check
from eventlog.opening import open_publisher
from eventlog.ports import MAX_RECORD_BYTES, Record
from eventlog.topics import SERVED
from interactions.domain.event import InteractionType
from interactions.domain.served_page import read
from runtime.settings import CommonSettings, load
from storage.database import Database
from tests.integration.insights.books import Books, event

PAGES: Final = 4
# Longer ago than what may still wait for its page.
TIME: Final = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
STARTED_S: Final = time.time() - 3600


class Bridges:
    """What bridges count, over HTTP."""

    def __init__(self) -> None:
        self.answered = 0
        self.waiting = 0
        self.dropped = 0
        self.withheld = 0
        self.started_s = [STARTED_S, STARTED_S + 1]
        bridges = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = bridges.text().encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def text(self) -> str:
        first = (
            f'feed_bridge_requests_total{{worker="1",source="LIGHTFM",fallback_reason="NONE"}} {self.answered - 1}.0\n'
        )
        other = 'feed_bridge_requests_total{worker="0",source="TRENDING",fallback_reason="DEADLINE"} 1.0\n'
        waiting = f'feed_bridge_served_waiting{{worker="0"}} {self.waiting}.0\n'
        dropped = f'feed_bridge_served_dropped_total{{worker="0",why="queue_full"}} {self.dropped}.0\n'
        started = "".join(
            f'process_start_time_seconds{{worker="{number}"}} {each}\n' for number, each in enumerate(self.started_s)
        )
        withheld = f'feed_bridge_pages_withheld_total{{worker="0"}} {self.withheld}.0\n'
        return first + other + waiting + dropped + withheld + started

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/metrics"


@pytest.fixture
def bridges() -> Iterator[Bridges]:
    made = Bridges()
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def record(name: str, **changes: Any) -> bytes:
    """What a bridge writes of a page."""
    told = ServedRecord(
        recommendation_id=name,
        user_id="u1",
        feed_session_id="s1",
        timestamp=instant(int(TIME.timestamp() * 1000)),
        algorithm="lightfm-warp",
        source=Source.LIGHTFM,
        fallback_reason=FallbackReason.NONE,
        model_version="m1",
        rung="",
        continued=False,
        experiments=(ServedExperiment("e1", "b"),),
        first_position=1,
        video_ids=("v1", "v2"),
        scores=(0.5, 0.25),
        attempts=1,
        elapsed_ms=12.5,
    )
    written = {**json.loads(encode(told, MAX_RECORD_BYTES)), **changes}
    return json.dumps({field: value for field, value in written.items() if value is not None}).encode()


class Rig:
    """A log, tables and a ledger, with bridges that count."""

    def __init__(self, folder: Path, url: str, books: Books, bridges: Bridges) -> None:
        self.environ = {"FEED_DATA_DIR": str(folder), "FEED_DATABASE_URL": url}
        self.books = books
        self.bridges = bridges
        self._publisher = open_publisher(load(CommonSettings, self.environ), topics=(SERVED,))

    async def start(self) -> None:
        await self._publisher.start()
        await self.books.keep()
        for number in range(PAGES):
            await self.page(f"r{number}")
        await self.books.act(event(InteractionType.LIKE, TIME, recommendation_id="r1"))
        await self.books.keep()

    async def page(self, name: str) -> None:
        """Goes the whole way of a page."""
        self.bridges.answered += 1
        await self.publish(record(name))
        await self.books.serve(read(record(name)))

    async def publish(self, value: bytes) -> None:
        (outcome,) = await self._publisher.publish_many([Record(SERVED, "u1", value)])
        assert not isinstance(outcome, Exception)

    async def change(self, statement: str) -> None:
        async with self.books.database.begin() as connection:
            await connection.execute(sa.text(statement))

    async def check(self, *arguments: str, patience: int = 0) -> Result:
        app = typer.Typer()
        app.command()(check)
        given = ("--bridge", self.bridges.url, "--patience", str(patience), *arguments)
        return await asyncio.to_thread(CliRunner().invoke, app, given, env=self.environ)

    async def close(self) -> None:
        await self._publisher.close()


@pytest.fixture
async def rig(tmp_path: Path, database_url: str, bridges: Bridges) -> AsyncIterator[Rig]:
    database = Database(database_url)
    made = Rig(tmp_path, database_url, Books(database), bridges)
    await made.start()
    yield made
    await made.close()
    await database.close()


def wrong(result: Result) -> list[str]:
    return [line.removeprefix("WRONG: ") for line in result.stdout.splitlines() if line.startswith("WRONG: ")]


async def test_every_page_is_in_every_book_with_every_field(rig: Rig) -> None:
    result = await rig.check()
    assert (result.exit_code, wrong(result)) == (0, []), result.output
    assert [line.split()[-1] for line in result.stdout.splitlines()] == ["4", "4", "0", "4", "4", "4", "1"]


Damage = Callable[[Rig], Awaitable[None]]


async def _lost_record(rig: Rig) -> None:
    rig.bridges.answered += 1


async def _dropped_record(rig: Rig) -> None:
    rig.bridges.answered += 1
    rig.bridges.dropped += 1


async def _invented_record(rig: Rig) -> None:
    await rig.page("invented")
    rig.bridges.answered -= 1


async def _another_record(rig: Rig) -> None:
    await rig.publish(record("r2", algorithm="other"))


async def _less_than_the_sink_wants(rig: Rig) -> None:
    rig.bridges.answered += 1
    await rig.publish(record("r9", algorithm=None))


async def _less_than_the_contract_wants(rig: Rig) -> None:
    rig.bridges.answered += 1
    await rig.publish(record("r9", elapsedMs=None))
    await rig.books.serve(read(record("r9")))
    await rig.books.keep()


async def _senseless_record(rig: Rig) -> None:
    rig.bridges.answered += 1
    await rig.publish(record("r9", source="MAGIC"))
    await rig.books.serve(read(record("r9")))
    await rig.books.keep()


async def _lost_in_the_tables(rig: Rig) -> None:
    await rig.change("DELETE FROM feed_cache WHERE recommendation_id = 'r2'")
    await rig.change("DELETE FROM recommendation_decisions WHERE recommendation_id = 'r2'")


async def _lost_on_the_ledger(rig: Rig) -> None:
    await rig.change("DELETE FROM prediction_outcomes WHERE recommendation_id = 'r2' AND position = 2")


async def _damaged_row(rig: Rig) -> None:
    await rig.change("UPDATE feed_cache SET model_version = NULL WHERE recommendation_id = 'r2'")


async def _damaged_interaction(rig: Rig) -> None:
    await rig.change("UPDATE user_interactions SET watch_time_s = -1")


async def _of_no_page(rig: Rig) -> None:
    await rig.books.act(event(InteractionType.VIEW, TIME, recommendation_id="nobody's"))


OF_NO_PAGE = (
    "feed_recommendation_consumed: recommendation_id: must name a page that was served, with this video (1 times)"
)
LOST = "1 answered pages have no record on the log"


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (_lost_record, [LOST]),
        (_dropped_record, ["1 records of answered pages were dropped by the bridges"]),
        (_invented_record, ["1 more pages on the log than the bridges answered: did one die since?"]),
        (_another_record, ["1 page (r2) is on the log with different records"]),
        (_less_than_the_sink_wants, ["records of feed.served.v1: algorithm: is missing (1 times)", LOST]),
        (_less_than_the_contract_wants, ["records of feed.served.v1: elapsedMs: is missing (1 times)"]),
        (
            _senseless_record,
            [
                "records of feed.served.v1: source: must be one of EDITORIAL, LIGHTFM, PRECOMPUTED, TRENDING (1 times)",
            ],
        ),
        (_lost_in_the_tables, ["1 page (r2) is on the log and not in the database"]),
        (_lost_on_the_ledger, ["1 page (r2) is not on the ledger with every video"]),
        (
            _damaged_row,
            ["feed_recommendation_served: model_version: must name the model of a page of LIGHTFM (1 times)"],
        ),
        (_damaged_interaction, ["feed_recommendation_consumed: watch_time_s: must be 0 to 86400 (1 times)"]),
        (
            _of_no_page,
            [OF_NO_PAGE],
        ),
    ],
)
async def test_each_kind_of_damage_is_found(rig: Rig, damage: Damage, found: list[str]) -> None:
    await damage(rig)
    await rig.books.keep()
    result = await rig.check()
    assert (result.exit_code, wrong(result)) == (1, found)


async def test_a_doubled_record_is_told_and_counts_once(rig: Rig) -> None:
    """Who is not sure whether the log has a record sends it again."""
    await rig.publish(record("r2"))
    result = await rig.check()
    assert (result.exit_code, wrong(result)) == (0, [])
    assert "copies of their records                      1\n" in result.stdout
    assert "pages on feed.served.v1                      4\n" in result.stdout


async def test_pages_of_who_does_not_want_to_be_known_are_expected_in_no_book(rig: Rig) -> None:
    rig.bridges.answered += 2
    rig.bridges.withheld += 2
    assert (await rig.check()).exit_code == 0


async def test_what_is_on_its_way_is_waited_for(rig: Rig) -> None:
    rig.bridges.answered += 1
    await rig.publish(record("r9"))
    checking = asyncio.create_task(rig.check(patience=30))
    await rig.books.serve(read(record("r9")))
    await rig.books.keep()
    result = await checking
    assert (result.exit_code, wrong(result)) == (0, [])


async def test_bridges_that_had_others_before_them_are_not_compared(rig: Rig) -> None:
    rig.bridges.answered += 7
    rig.bridges.started_s[1] += 600
    result = await rig.check()
    assert result.exit_code == 0
    assert "not compared: pages answered, since the bridges" in result.stdout


async def test_a_bridge_that_does_not_answer_is_told(rig: Rig) -> None:
    result = await rig.check("--bridge", "http://127.0.0.1:1/metrics")
    assert result.exit_code == 1
    assert "http://127.0.0.1:1/metrics: the bridge does not answer" in result.stderr
