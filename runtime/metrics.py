"""Prometheus metrics that every process has."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from runtime.contract import CONTRACT_RELEASE

# Dense around the 150 ms promise, so that the share answered in time can be read off.
LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.125, 0.15, 0.2, 0.3, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class RpcRecord:
    """One finished gRPC call.

    Args:
        kind: `unary` or `client_stream`, `server_stream`, `bidi_stream`.
        service: Full name of the service.
        method: Name of the method.
        code: Name of the status code.
        elapsed_s: Time from arrival to the end, in seconds.
    """

    kind: str
    service: str
    method: str
    code: str
    elapsed_s: float


class ServerMetrics:
    """The server metrics, under the names of go-grpc-middleware, so that stock dashboards work."""

    def __init__(self, registry: CollectorRegistry, process: str) -> None:
        labels = ("grpc_type", "grpc_service", "grpc_method")
        self._handled = Counter("grpc_server_handled", "gRPC calls ended.", (*labels, "grpc_code"), registry=registry)
        self._seconds = Histogram(
            "grpc_server_handling_seconds",
            "Time to serve a gRPC call.",
            labels,
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self._http = Counter(
            "feed_http_requests", "HTTP requests ended.", ("method", "route", "status"), registry=registry
        )
        self._http_seconds = Histogram(
            "feed_http_request_duration_seconds",
            "Time to serve an HTTP request.",
            ("method", "route"),
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        Info("feed_process", "What this process is.", registry=registry).info(
            {"process": process, "contract": CONTRACT_RELEASE}
        )
        self.draining = Gauge("feed_process_draining", "1 while the process drains.", registry=registry)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)

    def rpc_ended(self, record: RpcRecord) -> None:
        """Counts one gRPC call."""
        labels = (record.kind, record.service, record.method)
        self._handled.labels(*labels, record.code).inc()
        self._seconds.labels(*labels).observe(record.elapsed_s)

    def http_ended(self, method: str, route: str, status: int, elapsed_s: float) -> None:
        """Counts one HTTP request; `route` is the path template, never the path."""
        self._http.labels(method, route, str(status)).inc()
        self._http_seconds.labels(method, route).observe(elapsed_s)
