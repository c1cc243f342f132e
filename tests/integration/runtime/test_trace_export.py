"""Spans reach a collector; one that is away or hangs costs nobody anything and is counted."""

import asyncio
import logging
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from runtime.settings import CommonSettings, load
from runtime.traces.export import QUEUE_SPANS
from runtime.traces.opening import OpenTraces, open_traces
from runtime.traces.tracing import Kind
from tests.polling import until
from tests.trace_collector import Collector, collecting

SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Opened:
    """Traces, and what their metrics say."""

    def __init__(self, endpoint: str, **more: str) -> None:
        self._registry = CollectorRegistry()
        settings = load(CommonSettings, {"FEED_TRACES_ENDPOINT": endpoint, "FEED_TRACES_RATIO": "1", **more})
        opened = open_traces(settings, self._registry, "feed-test")
        assert opened is not None
        self.opened: OpenTraces = opened

    def make(self, count: int) -> None:
        for _ in range(count):
            self.opened.traces.begin("page", Kind.SERVER, SAMPLED).end()

    def spans(self, outcome: str) -> float:
        return self._registry.get_sample_value("feed_traces_spans_total", {"outcome": outcome}) or 0.0


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture
def hung() -> Iterator[str]:
    """Takes connections, and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


async def test_spans_arrive_with_what_the_process_is(collector: Collector) -> None:
    made = Opened(collector.endpoint, FEED_ENV="test", FEED_VERSION="1.2")
    root = made.opened.traces.begin("page", Kind.SERVER, SAMPLED)
    child = root.child("attempt", Kind.CLIENT)
    child.attributes.update({"feed.attempt": 1, "feed.hedge": False, "feed.ms": 2.5, "feed.outcome": "timeout"})
    child.links.append(root.context)
    child.fail("timeout")
    child.end()
    root.end(root.start_s + 0.25)
    await made.opened.stop()

    attempt, page = collector.spans()
    assert page.service == "feed-test"
    assert (page.resource["deployment.environment.name"], page.resource["service.version"]) == ("test", "1.2")
    assert (page.kind, page.parent_id, page.failed) == ("SERVER", "b7ad6b7169203331", "")
    assert page.elapsed_s == pytest.approx(0.25)
    assert (attempt.kind, attempt.parent_id, attempt.failed) == ("CLIENT", page.span_id, "timeout")
    assert attempt.attributes == child.attributes
    assert attempt.links == (page.span_id,)
    assert made.spans("exported") == 2


async def test_a_collector_that_is_away_is_counted_and_costs_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    made = Opened("http://127.0.0.1:1")
    for _ in range(3):
        made.make(300)
        await asyncio.sleep(0)
    await made.opened.stop()
    assert made.spans("failed") == 900
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(said) == len(set(said))


async def test_a_collector_that_hangs_fills_a_bounded_queue_and_holds_up_no_end(hung: str) -> None:
    made = Opened(hung)
    made.make(QUEUE_SPANS + 500)
    assert made.spans("dropped") >= 400  # one batch may be on its way
    await asyncio.wait_for(made.opened.stop(), 20)
    assert made.spans("failed") + made.spans("dropped") == QUEUE_SPANS + 500
    assert made.spans("exported") == 0


async def test_a_collector_that_comes_late_gets_what_comes_then(collector: Collector) -> None:
    made = Opened(collector.endpoint)
    made.make(10)
    await until(lambda: _count(collector), 10)  # by itself, within a second or so
    await made.opened.stop()


async def _count(collector: Collector) -> int:
    return len(collector.spans())


def test_without_a_collector_nothing_of_it_is_imported(tmp_path: Path) -> None:
    program = (
        "import sys, bridge.app, scorer.app, interactions.app, interactions.sink.app, insights.app\n"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, cwd=tmp_path)
