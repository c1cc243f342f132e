"""A collector of traces that only listens, over OTLP."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as services
from opentelemetry.proto.trace.v1 import trace_pb2


@dataclass(frozen=True, slots=True)
class Collected:
    """A span as it came.

    Args:
        service: Of the process that made it.
        resource: All that is told of that process.
        name: What was done.
        kind: Such as `SERVER`.
        trace_id: In hex, as are the others.
        span_id: Its own.
        parent_id: Of the span around it; empty: none.
        links: Ids of spans that it is tied to.
        attributes: What is told of it.
        failed: Why it failed; empty: it did not.
        elapsed_s: How long it took.
    """

    service: str
    resource: dict[str, Any]
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    links: tuple[str, ...]
    attributes: dict[str, Any]
    failed: str
    elapsed_s: float


class Collector(services.TraceServiceServicer):
    """Keeps every span that it is sent."""

    def __init__(self) -> None:
        self._spans: list[Collected] = []
        self.endpoint = ""

    def Export(self, request: pb.ExportTraceServiceRequest, _context: Any) -> pb.ExportTraceServiceResponse:  # noqa: N802
        for group in request.resource_spans:
            resource = _values(group.resource.attributes)
            self._spans += [_collected(resource, span) for scope in group.scope_spans for span in scope.spans]
        return pb.ExportTraceServiceResponse()

    def spans(self) -> Sequence[Collected]:
        return tuple(self._spans)

    def trace(self, trace_id: str) -> Sequence[Collected]:
        return [span for span in self.spans() if span.trace_id == trace_id]


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a free port."""
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(4))
    services.add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]
    collector.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield collector
    finally:
        server.stop(grace=None).wait()


def tree(spans: Sequence[Collected], parent_id: str) -> list[Any]:
    """The spans below one, each as (service, name, those below it), in the order of their names."""
    below = [span for span in spans if span.parent_id == parent_id]
    return sorted([(span.service, span.name, tree(spans, span.span_id)) for span in below])


def _collected(resource: dict[str, Any], span: trace_pb2.Span) -> Collected:
    return Collected(
        resource["service.name"],
        resource,
        span.name,
        trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        tuple(link.span_id.hex() for link in span.links),
        _values(span.attributes),
        span.status.message,
        (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
