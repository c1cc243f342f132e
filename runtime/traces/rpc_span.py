"""Spans of requests as they come in, by OpenTelemetry's names."""

from typing import Final

from runtime.traces.tracing import Active, Kind, Traces

# The codes that are a fault of the server.
_FAULTS: Final = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
_SERVER_ERROR: Final = 500


class RpcSpan:
    """The span of a call over gRPC, current until it ends.

    Args:
        traces: Get it.
        path: Of the method.
        header: The caller's `traceparent`, or empty.
    """

    __slots__ = ("_active", "_span")

    def __init__(self, traces: Traces, path: str, header: str) -> None:
        method = path[1:]
        self._span = traces.begin(method, Kind.SERVER, header)
        self._span.attributes.update({"rpc.system.name": "grpc", "rpc.method": method})
        self._active = Active(self._span)
        self._active.__enter__()

    def end(self, code: str) -> None:
        """Ends it with the name of a status code."""
        self._span.attributes["rpc.response.status_code"] = code
        if code in _FAULTS:
            self._span.fail(code)
        self._active.__exit__()
        self._span.end()


class HttpSpan:
    """The span of a request over HTTP, current until it ends.

    Args:
        traces: Get it.
        header: The caller's `traceparent`, or empty.
    """

    __slots__ = ("_active", "_span")

    def __init__(self, traces: Traces, header: str) -> None:
        self._span = traces.begin("HTTP", Kind.SERVER, header)
        self._active = Active(self._span)
        self._active.__enter__()

    def end(self, method: str, route: str, status: int) -> None:
        """Ends it.

        Args:
            method: One of a closed set.
            route: Its template, never the path: that may hold ids.
            status: Of the answer.
        """
        self._span.name = f"{method} {route}"
        self._span.attributes.update(
            {"http.request.method": method, "http.route": route, "http.response.status_code": status}
        )
        if status >= _SERVER_ERROR:
            self._span.fail(str(status))
        self._active.__exit__()
        self._span.end()
