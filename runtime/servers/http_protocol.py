"""Uvicorn's connections, held to limits that it has none for: how many, how slow, how large a head.

Uvicorn's only timeout begins anew with every byte, so that a client may hold a connection for as long as it likes.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from runtime.errors import RequestError
from runtime.limits.rates import network_of
from runtime.servers.connections import Connections
from runtime.servers.json_http import problem

# Longest time that a TLS handshake may take, in seconds; asyncio's own is 60.
HANDSHAKE_S: Final = 10.0
# From its first byte (or the connection) to its last, in seconds; a request is at most 64 KiB and its head.
RECEIPT_S: Final = 5.0
# Longest wait for a peer to take what it asked for, in seconds.
READER_S: Final = 10.0
# A page token alone may have 16 KiB.
MAX_HEAD_BYTES: Final = 65_536
# Where a request's scope has the certificate that its connection was made with, as ssl.getpeercert returns it.
CERTIFICATE: Final = "feed.certificate"
# What is read of a body that was refused for its size: so much more, and whoever still sends is cut off.
MAX_REQUEST_BYTES: Final = 16 * 1_048_576
# ": " and the end of its line.
_BESIDE_HEADER: Final = 4
# The parser is fed so many bytes at a time, so that a head is noticed to be too large before all of it is kept.
_PIECE_BYTES: Final = 16_384
_RETRY_S: Final = 1.0
# So long is read, and dropped, what a peer still sends when it was refused, in seconds.
_LINGER_S: Final = 1.0


class RefusedConnectionError(RequestError):
    """A request that is refused before it is one: it is too large or too slow, or there are too many connections.

    Args:
        status: The HTTP status.
        reason: As RequestError's.
        message: As RequestError's.
        retry_after_s: As RequestError's.
    """

    def __init__(self, status: HTTPStatus, reason: str, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason, message, retry_after_s=retry_after_s)
        self.http_status = status  # type: ignore[misc]  # one class for all of them


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a server's connections are held to.

    Args:
        connections: Counts them.
        told: Called with the kind of each limit that one was refused or closed for.
        receipt_s: Longest time to receive a request, in seconds.
        reader_s: Longest wait for a peer that does not read, in seconds.
        handshake_s: Longest time that a TLS handshake may take, in seconds.
    """

    connections: Connections
    told: Callable[[str], object] = field(default=str)
    receipt_s: float = RECEIPT_S
    reader_s: float = READER_S
    handshake_s: float = HANDSHAKE_S


class BoundedProtocol(HttpToolsProtocol):
    """One connection.

    Args:
        bounds: What it is held to.
        given: What uvicorn gives.
    """

    def __init__(self, bounds: Bounds, **given: Any) -> None:
        super().__init__(**given)
        self._bounds = bounds
        self._address = ""
        self._certificate: dict[object, object] = {}
        self._counted = False
        self._begun = False
        self._in_head = True
        self._said = False
        self._received = 0
        self._receipt: asyncio.TimerHandle | None = None
        self._reader: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Begins a connection, or ends it at once when there are too many."""
        super().connection_made(transport)
        self._address = network_of(self.client[0]) if self.client else ""
        self._certificate = transport.get_extra_info("peercert") or {}
        beyond = self._bounds.connections.enter(self._address)
        self._counted = not beyond
        if beyond:
            self._bounds.told(beyond)
            self._say(HTTPStatus.SERVICE_UNAVAILABLE, beyond.upper(), "there are too many connections", _RETRY_S)
            transport.close()
        else:
            self._begin_receipt()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends it."""
        if self._counted:
            self._bounds.connections.leave(self._address)
        self._end_receipt()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Takes bytes, by the piece."""
        if not self._said and (self.cycle is None or self.cycle.response_complete):
            self._begin_receipt()
        for start in range(0, len(data), _PIECE_BYTES):
            if self._said or self.transport.is_closing():
                return
            piece = data[start : start + _PIECE_BYTES]
            self._received += len(piece)
            super().data_received(piece)
            self._check_size()

    def on_message_begin(self) -> None:
        """Notes that a request begins."""
        self._begun = self._in_head = True
        self._received = 0
        self._begin_receipt()
        super().on_message_begin()
        self.scope["extensions"] = {CERTIFICATE: self._certificate}

    def on_headers_complete(self) -> None:
        """Notes that its head is there."""
        self._in_head = False
        # Before the target is parsed, of which 64 KiB are an error that says nothing.
        if (
            len(self.url) + sum(len(name) + len(value) + _BESIDE_HEADER for name, value in self.headers)
            > MAX_HEAD_BYTES
        ):
            self._end_large_head()
            raise _HeadTooLargeError
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Notes that all of it is."""
        self._begun = False
        self._end_receipt()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Says that it is no request, unless it was said what is wrong with it."""
        del msg
        if self._said:
            return
        if self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
            self.transport.close()  # nothing can be said in the midst of another answer
        else:
            self._end(HTTPStatus.BAD_REQUEST, "NOT_HTTP", "this is no HTTP request")

    def pause_writing(self) -> None:
        """Waits for the peer to read, but not for ever."""
        super().pause_writing()
        self._reader = self._reader or self.loop.call_later(self._bounds.reader_s, self._not_read)

    def resume_writing(self) -> None:
        """Goes on."""
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None
        super().resume_writing()

    def _begin_receipt(self) -> None:
        if self._receipt is None:
            self._receipt = self.loop.call_later(self._bounds.receipt_s, self._not_received)

    def _end_receipt(self) -> None:
        if self._receipt is not None:
            self._receipt.cancel()
            self._receipt = None

    def _not_received(self) -> None:
        self._receipt = None
        if self.transport.is_closing():
            return
        if self.pipeline:
            # What comes behind a request that is still answered is not read meanwhile.
            self._begin_receipt()
            return
        self._bounds.told("slow_request")
        if self._begun and (self._in_head or not self.cycle.response_started):
            text = f"a request must be here within {self._bounds.receipt_s:g} s"
            self._end(HTTPStatus.REQUEST_TIMEOUT, "REQUEST_TOO_SLOW", text)
        else:
            self.transport.close()

    def _not_read(self) -> None:
        self._bounds.told("slow_reader")
        self.transport.abort()

    def _check_size(self) -> None:
        if self._in_head and self._received > MAX_HEAD_BYTES:
            self._end_large_head()
        elif self._received > MAX_REQUEST_BYTES:
            self.transport.abort()

    def _end_large_head(self) -> None:
        text = f"the request line and headers must be at most {MAX_HEAD_BYTES} bytes"
        self._end(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "HEAD_TOO_LARGE", text)

    def _end(self, status: HTTPStatus, reason: str, message: str) -> None:
        """Says why and ends the connection, a little later: one that ends while its peer sends loses what was said."""
        self._said = True
        self._say(status, reason, message)
        if self.cycle is not None and not self.cycle.response_complete:
            # For its handler the peer is gone: what that says now would come behind the end.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self._end_receipt()
            self._receipt = self.loop.call_later(_LINGER_S, self.transport.close)
        else:
            self.transport.close()

    def _say(self, status: HTTPStatus, reason: str, message: str, retry_after_s: float | None = None) -> None:
        self.transport.write(_raw(problem(RefusedConnectionError(status, reason, message, retry_after_s))))


class _HeadTooLargeError(Exception):
    """Ends the parser's work on a request that was refused."""


def _raw(response: Response) -> bytes:
    """Returns a response as it goes over the wire, by a connection that ends with it."""
    headers = [*response.raw_headers, (b"connection", b"close")]
    head = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    return STATUS_LINE[response.status_code] + head + b"\r\n" + bytes(response.body)
