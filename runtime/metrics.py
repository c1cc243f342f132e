"""Prometheus metrics that every process has."""

import math

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from runtime.contract import CONTRACT_RELEASE

# Dense around the 150 ms promise, so that the share answered in time can be read off.
LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.125, 0.15, 0.2, 0.3, 0.5, 1.0)

# Dense where waiting begins to matter: well below the 10 ms that a healthy process keeps to, up to the 150 ms promise.
WAIT_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.075, 0.1, 0.15, 0.3, 1.0)


# What a process refuses or closes: requests beyond a rate; HTTP connections beyond a number, or that are too slow.
THROTTLED = ("user_rate", "peer_rate", "connections", "peer_connections", "slow_request", "slow_reader")


class RpcMeter:
    """Counts the calls of one method; looking its labels up each time would cost more than counting.

    Args:
        kind: `unary` or `client_stream`.
        service: Full name of the service.
        method: Name of the method.
        handled: The counter of ended calls.
        seconds: The histogram of their durations.
    """

    def __init__(self, kind: str, service: str, method: str, handled: Counter, seconds: Histogram) -> None:
        self._labels = (kind, service, method)
        self._handled = handled
        self._seconds = seconds.labels(*self._labels)
        self._by_code: dict[str, Counter] = {}

    def ended(self, code: str, elapsed_s: float) -> None:
        """Counts one call: the name of its status code, and its time from arrival to the end, in seconds."""
        counter = self._by_code.get(code)
        if counter is None:
            counter = self._by_code[code] = self._handled.labels(*self._labels, code)
        counter.inc()
        self._seconds.observe(elapsed_s)


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
        self.certificate_expiry = Gauge(
            "feed_tls_certificate_expiry_seconds",
            "When the process's certificate runs out, in Unix seconds; NaN: it has none.",
            registry=registry,
        )
        self.certificate_expiry.set(math.nan)
        self.loop_lag = Histogram(
            "feed_process_loop_lag_seconds",
            "How late the event loop is, ten times each tenth of a second.",
            buckets=WAIT_BUCKETS_S,
            registry=registry,
        )
        self.call_wait = Histogram(
            "feed_process_call_wait_seconds",
            "How long a call waits before its handler begins, by calls of the process to itself under load.",
            buckets=WAIT_BUCKETS_S,
            registry=registry,
        )
        throttled = Counter(
            "feed_process_throttled", "What was refused or closed for a limit.", ("kind",), registry=registry
        )
        self._throttled = {kind: throttled.labels(kind) for kind in THROTTLED}
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)

    def rpc(self, kind: str, service: str, method: str) -> RpcMeter:
        """Returns what counts the calls of a method."""
        return RpcMeter(kind, service, method, self._handled, self._seconds)

    def throttled(self, kind: str) -> None:
        """Counts what was refused or closed for a limit, one of THROTTLED."""
        self._throttled[kind].inc()

    def http_ended(self, method: str, route: str, status: int, elapsed_s: float) -> None:
        """Counts one HTTP request; `route` is the path template, never the path."""
        self._http.labels(method, route, str(status)).inc()
        self._http_seconds.labels(method, route).observe(elapsed_s)
