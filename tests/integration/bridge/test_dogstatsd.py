"""Fallbacks reach a Datadog agent; one that is away costs nothing (issue 4, item 6)."""

import logging
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.adapters.telemetry_dogstatsd import DogStatsdTelemetry
from bridge.domain.ladder import Skip
from bridge.domain.outcome import FallbackReason, Source
from bridge.fallback_events import FallbackEvent
from bridge.telemetry import PageServed
from fakes.scorer.server import FakeScorer
from feed.recommendations.v1 import recommendations_pb2 as pb
from tests.datadog_agent import Agent, tags
from tests.integration.bridge.conftest import StartBridge
from tests.polling import until

NAME = "feed.recommendation.fallback"
TAGS = ["env:test", "service:feed-bridge"]
PAGE = PageServed(
    "u1",
    pb.GetRecommendationsResponse(),
    Source.TRENDING,
    FallbackReason.DEADLINE,
    continued=False,
    rung="trending_global",
    skipped=(),
    attempts=2,
    elapsed_s=0.14,
    budget_left_s=0.01,
)
EVENT = FallbackEvent(
    FallbackReason.DEADLINE,
    "trending_global",
    Source.TRENDING,
    (("precomputed", Skip.TIMEOUT),),
    "lightfm",
    feed_session_id="mine",
    recommendation_id="r1",
    attempts=2,
    elapsed_s=0.1425,
    suppressed=41,
)


@pytest.fixture(params=["udp", "unix"])
def agent(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Agent]:
    if request.param == "udp":
        running = Agent(socket.AF_INET, ("127.0.0.1", 0))
    else:
        running = Agent(socket.AF_UNIX, str(tmp_path / "agent.sock"))
    yield running
    running.close()


async def test_fallbacks_are_counted_and_events_told(agent: Agent) -> None:
    telemetry = DogStatsdTelemetry(agent.address, TAGS)
    for _ in range(3):
        telemetry.page_served(PAGE)
    telemetry.fallback(EVENT)
    await telemetry.stop()
    await until(lambda: agent.counted(NAME), 3.0)
    await until(agent.events, 1)
    expected = {"reason:DEADLINE", "rung:trending_global", "source:TRENDING", *TAGS}
    assert all(tags(line) >= expected for line in agent.lines())
    (event,) = (line for line in agent.lines() if line.startswith("_e{"))
    text = (
        "reason=DEADLINE rung=trending_global skipped=precomputed:timeout algorithm_wanted=lightfm "
        "feed_session_id=mine recommendation_id=r1 attempts=2 elapsed_ms=142.5 suppressed=41"
    )
    assert event.startswith(f"_e{{{len(NAME)},{len(text)}}}:{NAME}|{text}|k:DEADLINE|t:warning|#")


async def test_a_page_of_the_model_is_not_counted(agent: Agent) -> None:
    telemetry = DogStatsdTelemetry(agent.address, TAGS)
    model = PageServed(
        "u1", PAGE.response, Source.LIGHTFM, FallbackReason.NONE, continued=False, rung="", skipped=(), attempts=1,
        elapsed_s=0.01, budget_left_s=0.1,
    )  # fmt: skip
    telemetry.page_served(model)
    await telemetry.stop()
    assert agent.lines() == []


async def test_each_tag_comes_once_whatever_the_library_adds(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library takes `DD_*` from the environment by itself; the settings have looked there before."""
    for name, value in {
        "DD_ENV": "other",
        "DD_SERVICE": "other",
        "DD_VERSION": "3",
        "DATADOG_TAGS": "team:feed",
    }.items():
        monkeypatch.setenv(name, value)
    telemetry = DogStatsdTelemetry(agent.address, TAGS)
    telemetry.page_served(PAGE)
    await telemetry.stop()
    await until(lambda: agent.counted(NAME), 1.0)
    (line,) = agent.lines()
    assert tags(line) >= {*TAGS, "version:3", "team:feed"}
    assert "other" not in line


@pytest.mark.parametrize("address", ["127.0.0.1:1", "agent.invalid:8125", "/nowhere/agent.sock"])
async def test_an_agent_that_is_away_costs_one_warning(address: str, caplog: pytest.LogCaptureFixture) -> None:
    telemetry = DogStatsdTelemetry(address, TAGS)
    for _ in range(200):
        telemetry.page_served(PAGE)
        telemetry.fallback(EVENT)  # far more bytes than fit into a packet
    await telemetry.stop()
    submitting = [record for record in caplog.records if "submitting" in record.getMessage()]
    assert len(submitting) <= 1
    assert all(record.levelno <= logging.WARNING for record in caplog.records)


async def test_the_bridge_tells_the_agent(
    agent: Agent, start_bridge: StartBridge, scorer: FakeScorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DD_SERVICE", raising=False)
    scorer.take("acts = [{ empty = true }]")
    environ = {"FEED_DOGSTATSD_ADDRESS": agent.address, "FEED_ENV": "test", "FEED_VERSION": "1.2"}
    async with start_bridge(scorer.target, environ=environ) as bridge:
        for _ in range(5):
            await bridge.page()
        await until(lambda: agent.counted(NAME), 5.0)
    assert await agent.events() >= 1
    assert all(
        tags(line) >= {"reason:EMPTY_RANKING", "env:test", "service:feed-bridge", "version:1.2"}
        for line in agent.lines()
    )
    told = [line for line in agent.lines() if line.startswith("_e{")]
    suppressed = sum(int(line.split("suppressed=")[1].split("|")[0]) for line in told)
    assert suppressed + len(told) == 5  # counted, not lost


def test_the_library_is_imported_only_when_there_is_an_agent(tmp_path: Path) -> None:
    """It takes a quarter of a second."""
    program = (
        "import sys, bridge.app; from bridge.settings import BridgeSettings; from runtime.settings import load\n"
        "bridge.app._dogstatsd(load(BridgeSettings, {}))\n"
        "sys.exit('datadog' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, cwd=tmp_path)
