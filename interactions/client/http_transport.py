"""Sends batches over REST, with the standard library."""

import http.client
import json
import os
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from interactions.client.event import Event
from interactions.client.tls import Credentials, TlsFiles
from interactions.client.transport import Answer, Answered, Failed, Result, Unreadable

DEFAULT_PATH: Final = "/feed/interactions"

# The service closes a connection that has been idle for 5 s; one that is about to be closed is not used any more.
_REUSE_WITHIN_S: Final = 2.0
_WRONG_AS_A_WHOLE: Final = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
}


def _no_headers() -> Mapping[str, str]:
    return {}


class HttpTransport:
    """`POST /feed/interactions`.

    Args:
        url: `http://host:port` or `https://host`; a path in it replaces the usual one.
        headers: Asked before each call, for a token say.
        tls: How an https connection is made; with files, a new one as they change; None: by the system's certificates.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Callable[[], Mapping[str, str]] = _no_headers,
        tls: ssl.SSLContext | TlsFiles | None = None,
    ) -> None:
        self._url = urlsplit(url)
        if self._url.scheme not in {"http", "https"} or not self._url.hostname:
            raise ValueError(f"must be http://host:port or https://host, is {url!r}")
        self._path = self._url.path.rstrip("/") or DEFAULT_PATH
        self._headers = headers
        self._files = tls if isinstance(tls, TlsFiles) else None
        self._context = None if isinstance(tls, TlsFiles) else tls
        self._shown: Credentials | None = None
        self._connection: http.client.HTTPConnection | None = None
        self._used_s = 0.0
        self._of_parent: list[http.client.HTTPConnection] = []

    def send(self, events: Sequence[Event], timeout_s: float) -> Answer:
        """Makes one call."""
        body = b'{"interactions":[' + b",".join(event.line for event in events) + b"]}"
        try:
            answer, text = self._exchange(body, timeout_s)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return Failed(f"{type(error).__name__}: {error}")
        if answer.status == HTTPStatus.OK:
            return _results(text, len(events))
        # Only the service itself can say that; a proxy on the way may be mended.
        if answer.status in _WRONG_AS_A_WHOLE and (detail := _detail(text)):
            return Unreadable(detail)
        return Failed(f"HTTP {answer.status} {answer.reason}", _seconds(answer.getheader("retry-after")))

    def close(self) -> None:
        """Closes the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def after_fork(self) -> None:
        """Closes this process's copy of the socket, which leaves the parent's alone.

        The connection itself is kept: its end would wait for a lock that a thread of the parent may hold.
        """
        if self._connection is not None:
            self._of_parent.append(self._connection)
            if self._connection.sock is not None:
                os.close(self._connection.sock.detach())
            self._connection = None

    def _exchange(self, body: bytes, timeout_s: float) -> tuple[http.client.HTTPResponse, bytes]:
        connection = self._connect(timeout_s)
        connection.request("POST", self._path, body, {"content-type": "application/json", **self._headers()})
        answer = connection.getresponse()
        text = answer.read()
        self._used_s = time.monotonic()
        return answer, text

    def _connect(self, timeout_s: float) -> http.client.HTTPConnection:
        shown = self._files.now() if self._files else None
        idle_s = time.monotonic() - self._used_s
        if self._connection is None or idle_s > _REUSE_WITHIN_S or shown is not self._shown:
            self.close()
            self._shown = shown
            self._connection = self._new(timeout_s)
        return self._connection

    def _new(self, timeout_s: float) -> http.client.HTTPConnection:
        host, port = str(self._url.hostname), self._url.port
        if self._url.scheme == "https":
            tls = self._shown.context if self._shown else self._context
            return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=tls)
        return http.client.HTTPConnection(host, port, timeout=timeout_s)


def _results(text: bytes, count: int) -> Answer:
    try:
        found = [_result(each) for each in json.loads(text)["results"]]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return Failed(f"the answer is none of this service: {type(error).__name__}")
    if len(found) != count:
        return Failed(f"the answer has {len(found)} results for {count} events")
    return Answered(found)


def _result(found: Mapping[str, Any]) -> Result:
    if found["status"] in {"ACCEPTED", "DUPLICATE"}:
        return Result(accepted=True)
    return Result(accepted=False, field=str(found.get("field", "")), reason=str(found.get("reason", "")))


def _detail(text: bytes) -> str:
    try:
        return str(json.loads(text)["detail"])
    except (ValueError, TypeError, KeyError):
        return ""


def _seconds(header: str | None) -> float | None:
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:
        return None  # a date; our own backoff does
