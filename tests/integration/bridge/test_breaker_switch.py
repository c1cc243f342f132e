"""`feed bridge breaker`: an SRE holds breakers open or closed while the bridge runs, and it says what it did."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridge.adapters.switch_file import FILE_NAME
from deploy.local.process import free_port
from fakes.scorer.server import FakeScorer
from feed.recommendations.v1 import recommendations_pb2 as pb
from tests.integration.bridge.conftest import RunningBridge, StartBridge
from tests.polling import until
from tests.system import ROOT


@dataclass(frozen=True)
class Said:
    """What a command did."""

    code: int
    out: str
    err: str


Feed = Callable[..., Awaitable[Said]]


@pytest.fixture
def feed(tmp_path: Path, scorer: FakeScorer) -> Feed:
    """Runs `feed bridge` and its arguments against the bridge with this HTTP port."""

    async def run(http_port: int, *arguments: str) -> Said:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("FEED_")}
        environ |= {"FEED_DATA_DIR": str(tmp_path), "FEED_SCORER_TARGETS": scorer.target}
        environ |= {"FEED_BRIDGE_HTTP_PORT": str(http_port), "COLUMNS": "120"}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "deploy.cli", "bridge", *arguments),
            env=environ,
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        return Said(process.returncode or 0, out.decode(), err.decode())

    return run


async def test_held_open_every_page_comes_from_the_ladder_and_the_scorer_is_left_alone(
    bridge: RunningBridge, scorer: FakeScorer, feed: Feed
) -> None:
    said = await feed(bridge.service.http_port, "breaker", "open")
    assert (said.code, "set: every scorer open" in said.out, "obeys" in said.out) == (0, True, True)
    page = await bridge.page()
    assert (page.source, page.fallback_reason, page.attempts) == (pb.TRENDING, pb.CIRCUIT_OPEN, 0)
    assert scorer.ledger.calls == 0
    assert bridge.metric("feed_bridge_breaker_forced", target=scorer.target) == 1


async def test_let_go_it_asks_the_scorer_again(bridge: RunningBridge, scorer: FakeScorer, feed: Feed) -> None:
    await feed(bridge.service.http_port, "breaker", "open", "--target", scorer.target)
    said = await feed(bridge.service.http_port, "breaker", "auto")
    assert (said.code, "set: every scorer auto" in said.out) == (0, True)
    assert (await bridge.page()).source == pb.LIGHTFM


async def test_held_closed_a_failing_scorer_is_still_asked(
    bridge: RunningBridge, scorer: FakeScorer, feed: Feed
) -> None:
    await feed(bridge.service.http_port, "breaker", "close")
    scorer.take('acts = [{ status = "UNAVAILABLE" }]')
    for _ in range(15):
        await bridge.page()
    assert bridge.metric("feed_bridge_breaker_state", target=scorer.target) == 0
    assert scorer.ledger.calls >= 15


async def test_status_says_what_is_set_and_how_each_breaker_stands(
    bridge: RunningBridge, scorer: FakeScorer, feed: Feed
) -> None:
    await feed(bridge.service.http_port, "breaker", "open")
    said = await feed(bridge.service.http_port, "breaker", "status")
    assert said == Said(0, f"set: every scorer open\n{scorer.target}: open, held open\n", "")


async def test_it_holds_over_a_restart(start_bridge: StartBridge, scorer: FakeScorer, feed: Feed) -> None:
    """Set while no bridge runs, it is in force for the first request."""
    said = await feed(free_port(), "breaker", "open")
    assert (said.code, "no bridge answers" in said.out) == (0, True)
    async with start_bridge(scorer.target) as bridge:
        assert (await bridge.page()).fallback_reason == pb.CIRCUIT_OPEN


async def test_a_damaged_file_changes_nothing_and_the_next_command_replaces_it(
    bridge: RunningBridge, scorer: FakeScorer, feed: Feed, tmp_path: Path, logs: list[dict[str, object]]
) -> None:
    await feed(bridge.service.http_port, "breaker", "open")
    (tmp_path / "bridge" / FILE_NAME).write_text('{"everywhere":"cl')

    async def noticed() -> bool:
        return any(entry["event"] == "bridge.switch_unreadable" for entry in logs)

    await until(noticed, True)
    assert bridge.metric("feed_bridge_breaker_forced", target=scorer.target) == 1
    said = await feed(bridge.service.http_port, "breaker", "auto")
    assert (said.code, FILE_NAME in said.err) == (0, True)
    assert bridge.metric("feed_bridge_breaker_forced", target=scorer.target) == 0


async def test_an_unknown_scorer_is_refused_by_name(bridge: RunningBridge, scorer: FakeScorer, feed: Feed) -> None:
    said = await feed(bridge.service.http_port, "breaker", "open", "--target", "nobody:1")
    assert (said.code, said.out) == (2, "")
    assert said.err == f"nobody:1 is no scorer of this bridge; FEED_SCORER_TARGETS is {scorer.target}\n"


async def test_who_asks_for_help_finds_it(feed: Feed) -> None:
    said = await feed(free_port(), "--help")
    assert (said.code, "feed bridge breaker" in said.out) == (0, True)


async def test_status_without_a_bridge_fails_and_says_so(feed: Feed) -> None:
    port = free_port()
    said = await feed(port, "breaker", "status")
    assert (said.code, said.err) == (1, f"no bridge answers on 127.0.0.1:{port}\n")


async def test_a_bridge_that_does_not_follow_is_found_out(bridge: RunningBridge, feed: Feed) -> None:
    """As when it has another data folder: the exit code says that the bridge that answers does not do it."""
    await bridge.app.switch.stop()
    said = await feed(bridge.service.http_port, "breaker", "open")
    assert (said.code, "does not obey" in said.err) == (1, True)
