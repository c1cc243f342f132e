"""A trace goes from the caller through every process to the database write (issue 10, item 5); real processes."""

import json
import os
import random
import signal
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import pytest

from feed.interactions.v1 import interactions_pb2
from feed.recommendations.v1 import recommendations_pb2 as pb
from runtime.traces.tracing import SpanContext
from tests.http import call_now
from tests.polling import wait_for
from tests.system import PAGE_TIMEOUT_S, System
from tests.trace_collector import Collected, Collector, tree

PAGE = "feed.recommendations.v1.RecommendationService/GetRecommendations"
RANK = "feed.scoring.v1.ScoringService/Rank"
RECORD = "feed.interactions.v1.InteractionService/RecordInteraction"
# What becomes of a record, from the log to the transaction.
STORED: Final[Any] = ("feed-sink", "write", [])
SERVED: Final[Any] = ("feed-sink", "process feed.served.v1", [STORED])
RANKED: Final[Any] = ("feed-bridge", RANK, [("feed-scorer", RANK, [("feed-scorer", "rank", [])])])


@pytest.fixture
def caller() -> SpanContext:
    """The span of a caller who has drawn its trace."""
    return SpanContext(random.getrandbits(128), random.getrandbits(64), sampled=True)


@pytest.fixture
def undrawn() -> SpanContext:
    return SpanContext(random.getrandbits(128), random.getrandbits(64), sampled=False)


def page(system: System, caller: SpanContext, user_id: str = "u1") -> pb.GetRecommendationsResponse:
    request = pb.GetRecommendationsRequest(user_id=user_id)
    metadata = (("traceparent", caller.header),)
    return system.recommendations().GetRecommendations(request, metadata=metadata, timeout=PAGE_TIMEOUT_S)


def spans(
    collector: Collector, caller: SpanContext, enough: Callable[[Sequence[Collected]], bool]
) -> Sequence[Collected]:
    """The spans of a trace, once there are enough."""
    return wait_for(lambda: collector.trace(f"{caller.trace_id:032x}"), enough)


def has(name: str, service: str = "feed-sink") -> Callable[[Sequence[Collected]], bool]:
    return lambda found: any((span.name, span.service) == (name, service) for span in found)


def has_all(*asked: Callable[[Sequence[Collected]], bool]) -> Callable[[Sequence[Collected]], bool]:
    return lambda found: all(each(found) for each in asked)


def the(found: Sequence[Collected], service: str, name: str) -> Collected:
    (one,) = (span for span in found if (span.service, span.name) == (service, name))
    return one


def test_a_page_from_the_caller_to_the_scorer_and_to_the_database(
    system: System, trace_collector: Collector, caller: SpanContext
):
    wait_for(lambda: page(system, SpanContext(1, 1, sampled=False)).source, lambda source: source == pb.LIGHTFM)
    answer = page(system, caller)
    enough = has_all(has("process feed.served.v1"), has("rank", "feed-scorer"), has(PAGE, "feed-bridge"))
    found = spans(trace_collector, caller, enough)

    (root,) = tree(found, f"{caller.span_id:016x}")
    attempt = ("feed-bridge", "attempt", [RANKED])
    assert root == ("feed-bridge", PAGE, [*[attempt] * answer.attempts, SERVED])
    told = the(found, "feed-bridge", PAGE)
    assert told.kind == "SERVER"
    assert told.attributes["rpc.response.status_code"] == "OK"
    assert told.attributes["feed.source"] == pb.Source.Name(answer.source)
    assert told.attributes["feed.fallback_reason"] == "NONE"
    assert told.attributes["feed.model_version"] == answer.model_version
    assert told.attributes["feed.attempts"] == answer.attempts
    assert told.resource["deployment.environment.name"] == "test"
    assert told.resource["service.version"] == "1.2.3"
    assert [span.failed for span in found] == [""] * len(found)


def test_an_interaction_from_the_caller_to_the_database_write(
    system: System, trace_collector: Collector, caller: SpanContext
):
    event = interactions_pb2.Interaction(
        event_id=str(uuid.uuid4()), user_id="u1", video_id="v1", interaction_type=interactions_pb2.LIKE
    )
    event.timestamp.GetCurrentTime()
    system.interactions().RecordInteraction(
        interactions_pb2.RecordInteractionRequest(interaction=event),
        metadata=(("traceparent", caller.header),),
        timeout=10,
    )
    found = spans(
        trace_collector, caller, has_all(has("process feed.interactions.v1"), has(RECORD, "feed-interactions"))
    )

    stored = ("feed-sink", "process feed.interactions.v1", [STORED])
    sent = ("feed-interactions", "send feed.interactions.v1", [stored])
    assert tree(found, f"{caller.span_id:016x}") == [("feed-interactions", RECORD, [sent])]
    assert [each.kind for each in found if each.service == "feed-sink"] == ["CLIENT", "CONSUMER"]
    assert the(found, "feed-interactions", sent[1]).attributes["feed.durability"] in {"KAFKA", "JOURNAL"}
    real = bool(system.servers())
    assert the(found, "feed-sink", "write").attributes["db.system.name"] == ("postgresql" if real else "sqlite")


def test_the_trace_comes_in_over_http_too(system: System, trace_collector: Collector, caller: SpanContext):
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    event = {"userId": "u1", "videoId": "v1", "interactionType": "VIEW", "watchTime": 3, "timestamp": now}
    headers = {"content-type": "application/json", "traceparent": caller.header}
    call_now(system.http_port("interactions"), "POST", "/feed/interactions", json.dumps(event).encode(), headers)
    door = "POST /feed/interactions"
    found = spans(trace_collector, caller, has_all(has("process feed.interactions.v1"), has(door, "feed-interactions")))
    root = the(found, "feed-interactions", door)
    assert root.parent_id == f"{caller.span_id:016x}"
    assert root.attributes["http.response.status_code"] == 200


def test_no_span_names_a_user_or_a_video(system: System, trace_collector: Collector, caller: SpanContext):
    user = f"nobody-{uuid.uuid4()}"
    answer = page(system, caller, user)
    enough = has_all(has("process feed.served.v1"), has(PAGE, "feed-bridge"))
    found = spans(trace_collector, caller, enough)
    told = {str(value) for span in found for value in (span.name, *span.attributes.values())}
    assert not told & {user, *(each.video_id for each in answer.recommendations)}


@pytest.fixture
def hung_scorer(system: System) -> Iterator[None]:
    pid = system.pid("scorer")
    os.kill(pid, signal.SIGSTOP)
    yield
    os.kill(pid, signal.SIGCONT)
    wait_for(lambda: page(system, SpanContext(1, 1, sampled=False)).source, lambda source: source == pb.LIGHTFM)


@pytest.mark.usefixtures("hung_scorer")
def test_a_fallback_is_kept_though_nobody_drew_it(system: System, trace_collector: Collector, undrawn: SpanContext):
    """And its record of what was served, on its way to the database."""
    answer = page(system, undrawn)
    assert answer.fallback_reason != pb.NONE
    found = spans(trace_collector, undrawn, has_all(has("process feed.served.v1"), has(PAGE, "feed-bridge")))
    root = the(found, "feed-bridge", PAGE)
    assert root.attributes["feed.degraded"]
    assert root.attributes["feed.fallback_reason"] == pb.FallbackReason.Name(answer.fallback_reason)
    failed = [span.failed for span in found if span.name == "attempt"]
    assert len(failed) == answer.attempts
    assert all(failed)


def test_log_lines_of_both_sides_name_the_trace(system: System, caller: SpanContext):
    page(system, caller)
    for name in ("bridge", "scorer"):
        log = system.folder / "log" / f"{name}.log"
        wait_for(partial(log.read_text), lambda text: f'"trace_id": "{caller.trace_id:032x}"' in text)


@pytest.mark.parametrize("name", ["bridge", "scorer", "interactions", "sink", "insights", "trainer"])
def test_every_process_counts_its_spans(system: System, name: str):
    text = call_now(system.http_port(name), "GET", "/metrics").text
    assert 'feed_traces_spans_total{outcome="dropped"} 0.0' in text
    assert 'feed_traces_spans_total{outcome="failed"} 0.0' in text
