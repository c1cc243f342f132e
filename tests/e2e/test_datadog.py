"""What every process tells a Datadog agent, with the tags that tie it together (issue 10, item 6)."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from tests.datadog_agent import Agent, tags
from tests.http import post_json
from tests.polling import wait_for
from tests.system import System

UNIFIED = {"env:test", "version:1.2.3"}


@pytest.fixture
def told(system: System, datadog_agent: Agent) -> Agent:
    """The agent, once somebody whom no model knows has got a page and has liked something."""
    video = system.page("u1").recommendations[0].video_id
    system.page(f"nobody-{uuid.uuid4()}")
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    event = {"userId": "u1", "videoId": video, "interactionType": "LIKE", "timestamp": now}
    assert post_json(system.http_port("interactions"), "/feed/interactions", event).status == 200
    return datadog_agent


def lines_of(agent: Agent, process: str) -> Sequence[str]:
    return [line for line in agent.lines() if f"service:feed-{process}" in tags(line)]


@pytest.mark.parametrize(
    ("process", "name", "tagged"),
    [
        pytest.param("bridge", "feed.recommendation.fallback", "source:TRENDING", id="bridge"),
        pytest.param("scorer", "feed.scorer.users", "result:known", id="scorer"),
        pytest.param("interactions", "feed.interactions.events", "type:LIKE", id="interactions"),
        pytest.param("sink", "feed.sink.records", "topic:feed.interactions.v1", id="sink"),
        pytest.param("insights", "feed.recommendation.served", "source:LIGHTFM", id="insights"),
        pytest.param("trainer", "feed.trainer.good_model_age", "job:feed_lightfm_retrain", id="trainer"),
    ],
)
def test_every_process_tells_with_the_tags_of_its_service(told: Agent, process: str, name: str, tagged: str):
    wait_for(
        lambda: [line for line in lines_of(told, process) if line.startswith(f"{name}:") and tagged in tags(line)], bool
    )
    for line in lines_of(told, process):
        assert tags(line) >= UNIFIED
        assert sum(tag.partition(":")[0] in {"env", "service", "version"} for tag in tags(line)) == 3


def test_a_fallback_is_an_event_too(told: Agent):
    event = "_e{28,"
    found = wait_for(lambda: [line for line in lines_of(told, "bridge") if line.startswith(event)], bool)
    assert found[0].partition(":")[2].startswith("feed.recommendation.fallback|reason=")
    assert tags(found[0]) >= UNIFIED
