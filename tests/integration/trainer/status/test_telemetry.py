"""How runs go reaches a Datadog agent."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from runtime.settings import load
from storage.trainings import RunStatus, TrainingStatus
from tests.datadog_agent import Agent, tags
from tests.polling import until
from trainer.settings import TrainerSettings
from trainer.status.composition import telemetry_of
from trainer.status.ports import RunTelemetry, SilentTelemetry

TWO = datetime(2026, 1, 1, 2, tzinfo=UTC)


def status(state: TrainingStatus, error: str | None = None) -> RunStatus:
    end = TWO + timedelta(seconds=30)
    metrics = {"ndcg_at_10": 0.25, "auc": 0.9}
    return RunStatus(
        "m1", "feed_lightfm_retrain", "als", state, error, TWO, TWO, end, {"users": 3}, metrics, {}, {"fit on all": 2.5}
    )


@pytest.fixture
def agent() -> Iterator[Agent]:
    agent = Agent(socket.AF_INET, ("127.0.0.1", 0))
    yield agent
    agent.close()


@pytest.fixture
def telemetry(agent: Agent) -> RunTelemetry:
    environ = {"FEED_DOGSTATSD_ADDRESS": agent.address, "FEED_ENV": "test", "FEED_VERSION": "1.2"}
    return telemetry_of(load(TrainerSettings, environ))


async def test_a_run_that_succeeded_is_figures_and_no_event(agent: Agent, telemetry: RunTelemetry) -> None:
    telemetry.beat()
    telemetry.ended(status(TrainingStatus.SUCCEEDED))
    telemetry.good_model_age(timedelta(hours=2))
    telemetry.close()
    await until(lambda: agent.counted("feed.trainer.runs"), 1.0)
    assert {line.split("|#")[0] for line in agent.lines()} == {
        "feed.trainer.run.heartbeats:1|c",
        "feed.trainer.runs:1|c",
        "feed.trainer.run.duration:30000.0|ms",
        "feed.trainer.step.duration:2500.0|ms",
        "feed.trainer.run.users:3|g",
        "feed.trainer.run.ndcg_at_10:0.25|g",
        "feed.trainer.good_model_age:7200.0|g",
    }
    unified = {"env:test", "service:feed-trainer", "version:1.2", "job:feed_lightfm_retrain"}
    found = {line.split(":")[0]: tags(line) - unified for line in agent.lines() if tags(line) >= unified}
    assert len(found) == len(agent.lines())
    assert found["feed.trainer.runs"] == {"state:succeeded"}
    assert found["feed.trainer.step.duration"] == {"step:fit_on_all"}


@pytest.mark.parametrize(
    ("state", "alert"), [(TrainingStatus.REFUSED, "warning"), (TrainingStatus.FAILED, "error")], ids=str
)
async def test_one_that_did_not_is_also_an_event(
    agent: Agent, telemetry: RunTelemetry, state: TrainingStatus, alert: str
) -> None:
    telemetry.ended(status(state, "no good"))
    telemetry.close()
    await until(agent.events, 1)
    (event,) = (line for line in agent.lines() if line.startswith("_e{"))
    title, text = f"feed_lightfm_retrain {state.value}", "run_id=m1 started=2026-01-01T02:00:00Z error=no good"
    assert event.startswith(f"_e{{{len(title)},{len(text)}}}:{title}|{text}|k:feed_lightfm_retrain|t:{alert}|#")
    assert f"state:{state.value}" in tags(event)


@pytest.mark.parametrize(
    ("since", "said"),
    [(timedelta(hours=37), "no run has succeeded for 37 h"), (None, "no run ever succeeded")],
    ids=["for long", "never"],
)
async def test_that_no_good_model_comes_is_an_event(
    agent: Agent, telemetry: RunTelemetry, since: timedelta | None, said: str
) -> None:
    telemetry.lacks_good_model(since)
    telemetry.close()
    await until(agent.events, 1)
    assert f"|{said}|" in agent.lines()[0]


def test_without_an_agent_nothing_is_told() -> None:
    assert isinstance(telemetry_of(load(TrainerSettings, {})), SilentTelemetry)
