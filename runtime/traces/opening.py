"""Traces of a process, as its settings say."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter

from runtime.settings import CommonSettings
from runtime.traces.policy import KeepPolicy, Kept
from runtime.traces.tracing import Traces


class OpenTraces(NamedTuple):
    """Traces, and what ends them."""

    traces: Traces
    stop: Callable[[], Awaitable[None]]


class TraceMetrics:
    """Counts traces and their spans."""

    def __init__(self, registry: CollectorRegistry) -> None:
        kept = Counter("feed_traces_kept", "Traces of which this process kept its spans.", ("why",), registry=registry)
        self._held_back = Counter(
            "feed_traces_held_back", "Traces that would have been kept, had there not been too many.", registry=registry
        )
        spans = Counter("feed_traces_spans", "Spans kept, by what became of them.", ("outcome",), registry=registry)
        self._kept = {why: kept.labels(why) for why in Kept}
        self._exported, self._dropped, self._failed = map(spans.labels, ("exported", "dropped", "failed"))

    def kept(self, why: Kept) -> None:
        """Counts a trace."""
        self._kept[why].inc()

    def held_back(self) -> None:
        """Counts one that is not kept for there being too many."""
        self._held_back.inc()

    def exported(self, count: int) -> None:
        """Counts spans that the collector has."""
        self._exported.inc(count)

    def dropped(self, count: int) -> None:
        """Counts spans that did not fit the queue."""
        self._dropped.inc(count)

    def failed(self, count: int) -> None:
        """Counts spans that the collector did not take."""
        self._failed.inc(count)


def open_traces(settings: CommonSettings, registry: CollectorRegistry, service: str) -> OpenTraces | None:
    """Returns the traces of a process; None: it makes none, and nothing of OpenTelemetry is imported.

    Args:
        settings: Say where spans go.
        registry: Gets the metrics, with traces or without: an alert needs the zero.
        service: Name of the process, such as `feed-bridge`.
    """
    metrics = TraceMetrics(registry)
    if not settings.traces_endpoint:
        return None
    from runtime.traces.export import SpanQueue  # noqa: PLC0415  # see there

    queue = SpanQueue(settings.traces_endpoint, settings.trace_resource(service), metrics)
    policy = KeepPolicy(settings.traces_ratio, settings.traces_slow_ms / 1000)
    return OpenTraces(Traces(policy, queue.take, metrics), queue.stop)
