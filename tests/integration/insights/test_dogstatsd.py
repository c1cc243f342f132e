"""What was served and consumed, and what is wrong, reaches a Datadog agent; one that is away costs nothing."""

import logging
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from insights.adapters.telemetry_dogstatsd import DogStatsdTelemetry
from insights.app import build
from insights.keeper import Step
from insights.ports import LedgerState
from insights.settings import InsightsSettings
from interactions.domain.event import InteractionType
from runtime.process import Service
from runtime.settings import load
from storage.database import Database
from storage.tables import log_offsets
from tests.datadog_agent import Agent, tags
from tests.http import call
from tests.integration.insights.books import SECRET, Books, event, page
from tests.polling import until
from tests.secret_files import write_secret

NOW = datetime.now(UTC).replace(microsecond=0)
TAGS = ["env:test", "service:feed-insights"]
SERVED, CONSUMED = "feed.recommendation.served", "feed.recommendation.consumed"
ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def agent() -> Iterator[Agent]:
    running = Agent(socket.AF_INET, ("127.0.0.1", 0))
    yield running
    running.close()


@pytest.fixture
async def running(
    database_url: str, tmp_path: Path, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Service]:
    """The process, once it follows."""
    monkeypatch.delenv("DD_SERVICE", raising=False)
    key = tmp_path / "bridge" / "token.key"
    key.parent.mkdir()
    write_secret(key, SECRET)
    environ = {"FEED_DATA_DIR": str(tmp_path), "FEED_DATABASE_URL": database_url}
    told = {"FEED_DOGSTATSD_ADDRESS": agent.address, "FEED_ENV": "test"}
    async with Service("insights", build(load(InsightsSettings, environ | told))) as service:
        yield service


def lines(agent: Agent, name: str) -> list[str]:
    return [line for line in agent.lines() if line.startswith(f"{name}:")]


def counts(agent: Agent, name: str, tagged: set[str]) -> float:
    return sum(float(line.split(":")[1].split("|")[0]) for line in lines(agent, name) if tags(line) >= tagged)


@ON_SQLITE
async def test_served_and_consumed_are_counted_by_what_they_are(
    running: Service, database: Database, agent: Agent
) -> None:
    """However they are summed up on the way; the check counts alike."""

    async def followed() -> int:
        async with database.read() as connection:
            return await connection.scalar(sa.select(sa.func.count()).select_from(log_offsets)) or 0

    await until(followed, 6)  # the ledger, the agent and the check, of two tables each
    books = Books(database)
    other = {"source": "TRENDING", "algorithm": "trending", "fallbackReason": "DEADLINE", "modelVersion": ""}
    await books.serve(*(page(f"r{number}", time=NOW) for number in range(1, 4)), page("r9", time=NOW, **other))
    await books.act(event(InteractionType.LIKE, NOW), event(InteractionType.VIEW, NOW, recommendation_id="r9"))
    await until(lambda: agent.counted(SERVED), 4.0)
    await until(lambda: agent.counted(CONSUMED), 2.0)

    of_model, of_trending = {"source:LIGHTFM", "fallback_reason:NONE"}, {"source:TRENDING", "fallback_reason:DEADLINE"}
    assert counts(agent, SERVED, {"algorithm:lightfm-warp", *of_model, *TAGS}) == 3
    assert counts(agent, SERVED, {"algorithm:trending", *of_trending, *TAGS}) == 1
    assert counts(agent, CONSUMED, {"interaction_type:LIKE", *of_model, *TAGS}) == 1
    assert counts(agent, CONSUMED, {"interaction_type:VIEW", *of_trending, *TAGS}) == 1

    async def checked() -> list[str]:
        text = (await call(running.http_port, "GET", "/metrics")).text
        return [line for line in text.splitlines() if "forwarded_total{" in line and 'to="check"' in line]

    await until(
        checked,
        [
            'feed_insights_forwarded_total{event="feed_recommendation_served",to="check"} 4.0',
            'feed_insights_forwarded_total{event="feed_recommendation_consumed",to="check"} 2.0',
        ],
    )


async def test_what_is_wrong_is_an_event(agent: Agent) -> None:
    telemetry = DogStatsdTelemetry(agent.address, TAGS)
    telemetry.added_up(LedgerState(3, {"pending": 3}, {}, 0))
    for _ in range(3):  # once, until it balances again
        telemetry.added_up(LedgerState(3, {"pending": 2}, {}, 0))
    telemetry.added_up(LedgerState(3, {"pending": 3}, {}, 0))
    telemetry.added_up(LedgerState(5, {"pending": 3}, {}, 0))
    telemetry.stopped("calm", ["b: hides more", "b: falls back more"])
    telemetry.mismatched("calm", {"a": 900, "b": 400})
    telemetry.looked(2, 1)
    telemetry.step_failed(Step.PAGES)
    await telemetry.stop()
    await until(agent.events, 4)
    told = [line.split(":", 1)[1].split("|")[:2] for line in agent.lines() if line.startswith("_e{")]
    assert told == [
        ["feed.insights.ledger_unbalanced", "served=3 balance=1"],
        ["feed.insights.ledger_unbalanced", "served=5 balance=2"],
        ["feed.insights.experiment_stopped", "experiment=calm harms=b: hides more; b: falls back more"],
        ["feed.insights.experiment_mismatched", "experiment=calm users=a:900,b:400"],
    ]
    assert lines(agent, "feed.insights.balance")[-1].startswith("feed.insights.balance:2|g")
    assert lines(agent, "feed.insights.experiments_mismatched")[-1].startswith(
        "feed.insights.experiments_mismatched:1|g"
    )
    assert "step:pages" in tags(lines(agent, "feed.insights.failures")[0])


@ON_SQLITE
@pytest.mark.parametrize("address", ["127.0.0.1:1", "agent.invalid:8125", "/nowhere/agent.sock"])
async def test_an_agent_that_is_away_holds_nothing_up(
    address: str, database_url: str, database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    environ = {"FEED_DATA_DIR": str(tmp_path), "FEED_DATABASE_URL": database_url, "FEED_DOGSTATSD_ADDRESS": address}
    books = Books(database)
    async with Service("insights", build(load(InsightsSettings, environ))) as service:

        async def ready() -> int:
            return (await call(service.http_port, "GET", "/readyz")).status

        await until(ready, 200)
        await books.serve(*(page(f"r{number}", time=NOW) for number in range(100)))

        async def served() -> int:
            return (await books.state()).served

        await until(served, 200)
    submitting = [record for record in caplog.records if "submitting" in record.getMessage()]
    assert len(submitting) <= 1
    assert all(record.levelno <= logging.WARNING for record in submitting)


def test_the_library_is_imported_only_when_there_is_an_agent(tmp_path: Path) -> None:
    """It takes a quarter of a second."""
    program = (
        "import sys, insights.app; from insights.settings import InsightsSettings; from runtime.settings import load\n"
        "insights.app._dogstatsd(load(InsightsSettings, {}))\n"
        "sys.exit('datadog' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, cwd=tmp_path)
