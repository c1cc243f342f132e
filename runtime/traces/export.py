"""Spans that are kept, to a collector over OTLP; only who has one imports this (a third of a second)."""

import asyncio
import logging
import threading
from collections.abc import Sequence
from typing import Final, Protocol

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace import SpanContext as OtelContext

from runtime.throttle import SparseWarnings
from runtime.traces.tracing import Span, SpanContext

_LIBRARY_LOG: Final = logging.getLogger("opentelemetry")
_LIBRARY_LOGS: Final = ("opentelemetry.exporter.otlp.proto.grpc.exporter", "opentelemetry.sdk._shared_internal")

# Spans that wait for a slow collector, some 3 MB; beyond them new ones are dropped.
QUEUE_SPANS: Final = 2_048
_BATCH_SPANS: Final = 256
_EVERY_MS: Final = 1_000
# Of one batch, its repetitions included.
_TIMEOUT_S: Final = 5.0
# At the end, for what still waits.
_STOP_S: Final = 1.0

_SCOPE: Final = InstrumentationScope("feed")


class ExportTelemetry(Protocol):
    """Takes what becomes of spans; must not raise."""

    def exported(self, count: int) -> None:
        """Takes how many the collector has."""

    def dropped(self, count: int) -> None:
        """Takes how many did not fit the queue."""

    def failed(self, count: int) -> None:
        """Takes how many the collector did not take."""


class SpanQueue:
    """Takes spans, and sends them behind whoever made them.

    Args:
        endpoint: `http://host:port`, or `https://…`; the library's own variables add headers and certificates.
        resource: What the process is, by OpenTelemetry's names; `OTEL_RESOURCE_ATTRIBUTES` adds to it.
        telemetry: Told what becomes of spans.
    """

    def __init__(self, endpoint: str, resource: dict[str, str], telemetry: ExportTelemetry) -> None:
        self._telemetry = telemetry
        self._resource = Resource.create(dict(resource))
        self._exporter = OTLPSpanExporter(endpoint=endpoint, insecure=_is_insecure(endpoint), timeout=_TIMEOUT_S)
        self._counted = _Counted(self._exporter, telemetry)
        self._processor = BatchSpanProcessor(
            self._counted,
            max_queue_size=QUEUE_SPANS,
            schedule_delay_millis=_EVERY_MS,
            max_export_batch_size=_BATCH_SPANS,
        )
        self._sparse = SparseWarnings()
        for name in _LIBRARY_LOGS:
            logging.getLogger(name).addFilter(self._sparse)

    def take(self, spans: Sequence[Span]) -> None:
        """Takes the spans of a trace; never waits."""
        # Of those that wait, some are being sent and no longer in the library's queue: it never drops by itself.
        room = QUEUE_SPANS - self._counted.waiting
        if len(spans) > room:
            self._telemetry.dropped(len(spans))
            return
        self._counted.add(len(spans))
        for span in spans:
            self._processor.on_end(_readable(span, self._resource))

    async def stop(self) -> None:
        """Sends what is left; takes a second at most."""
        await asyncio.to_thread(self._stop)

    def _stop(self) -> None:
        # The library waits 30 s for a collector that is away; once its exporter is shut down it gives up.
        limit = threading.Timer(_STOP_S, self._exporter.shutdown)
        limit.start()
        self._processor.shutdown()  # type: ignore[no-untyped-call]
        limit.cancel()
        for name in _LIBRARY_LOGS:
            logging.getLogger(name).removeFilter(self._sparse)


class _Counted(SpanExporter):
    """Counts what waits and what becomes of it."""

    def __init__(self, exporter: SpanExporter, telemetry: ExportTelemetry) -> None:
        self._exporter = exporter
        self._telemetry = telemetry
        self._lock = threading.Lock()
        self.waiting = 0

    def add(self, count: int) -> None:
        """Takes how many wait from now on."""
        with self._lock:
            self.waiting += count

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Sends some."""
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            self.add(-len(spans))
            tell = self._telemetry.exported if result is SpanExportResult.SUCCESS else self._telemetry.failed
            tell(len(spans))
        return result

    def shutdown(self) -> None:
        """Closes the connection."""
        self._exporter.shutdown()


def _is_insecure(endpoint: str) -> bool:
    return not endpoint.startswith("https://")


def _readable(span: Span, resource: Resource) -> ReadableSpan:
    anchor_ns = span.trace.anchor_ns
    return ReadableSpan(
        span.name,
        _context(span.context, remote=False),
        parent=None if span.parent is None else _context(span.parent, remote=span is span.trace.root),
        resource=resource,
        attributes=span.attributes,
        links=[Link(_context(each, remote=False)) for each in span.links],
        kind=SpanKind[span.kind.name],
        status=Status(StatusCode.ERROR, span.failed) if span.failed else Status(),
        start_time=anchor_ns + int(span.start_s * 1e9),
        end_time=anchor_ns + int(span.end_s * 1e9),
        instrumentation_scope=_SCOPE,
    )


def _context(given: SpanContext, *, remote: bool) -> OtelContext:
    # Whatever was drawn: what comes here is kept.
    return OtelContext(given.trace_id, given.span_id, remote, TraceFlags(TraceFlags.SAMPLED))
