"""Frames: how a record lies in a segment of the journal, so that damage is noticed and what is intact is found again.

A frame is `magic, checksum, length, offset, append time, bytes of the key, bytes of the headers, key, headers, value`,
little-endian. The checksum is over everything behind it, and over the place where the frame lies: bytes that a disk
brought back from elsewhere, or that somebody sent as a value, are no frame. The length is that of the whole frame.
"""

import struct
import zlib
from collections.abc import Iterator
from enum import Enum
from typing import Final, NamedTuple

from eventlog.domain import headers as packed_headers
from eventlog.ports import Record, RecordTooLargeError

# No UTF-8 text holds these bytes, so the search for the next frame is not led astray by a JSON value.
MAGIC: Final = b"\xf0\xfeJ\xff"
# Far above any record (ports.MAX_RECORD_BYTES and its headers): a length beyond it is damage, not a frame that goes on.
MAX_FRAME_BYTES: Final = 1_048_576

_HEAD: Final = struct.Struct("<4sIIQQII")
_CHECKED: Final = struct.Struct("<IQQII")
_CHECKED_FROM: Final = _HEAD.size - _CHECKED.size
HEAD_BYTES: Final = _HEAD.size

_U32: Final = 0xFFFF_FFFF


class Frame(NamedTuple):
    """An intact frame, at `start` to `end` of the bytes that were scanned."""

    start: int
    end: int
    offset: int
    append_time_ms: int
    key: bytes
    headers: bytes
    value: bytes


class _Not(Enum):
    """Why there is no frame at a place."""

    INTACT = 1
    ALL_HERE = 2


def place_of(segment: int, position: int) -> int:
    """Returns the place of a frame, which its checksum covers.

    Args:
        segment: First offset of the segment.
        position: Where in the segment, in bytes.
    """
    return segment + position


def encode(record: Record, offset: int, now_ms: int, place: int) -> bytes:
    """Returns the frame of a record.

    Args:
        record: The record; the time when another log took it goes before the time now.
        offset: Its offset.
        now_ms: The time now, in Unix milliseconds.
        place: Where the frame will lie, see `place_of`.

    Raises:
        RecordTooLargeError: The frame would exceed MAX_FRAME_BYTES.
    """
    key = record.key.encode(errors="surrogateescape")
    headers = packed_headers.encode(record.headers)
    length = HEAD_BYTES + len(key) + len(headers) + len(record.value)
    if length > MAX_FRAME_BYTES:
        raise RecordTooLargeError(f"the record takes {length} bytes; at most {MAX_FRAME_BYTES} are accepted")
    numbers = _CHECKED.pack(length, offset, record.append_time_ms or now_ms, len(key), len(headers))
    checked = b"".join((numbers, key, headers, record.value))
    return MAGIC + zlib.crc32(checked, place & _U32).to_bytes(4, "little") + checked


def blank(frame: Frame, place: int) -> bytes:
    """Returns a frame as long as another one and at its offset, whose key and value say nothing.

    Args:
        frame: The other one.
        place: Where it lies, see `place_of`.
    """
    length = frame.end - frame.start
    numbers = _CHECKED.pack(length, frame.offset, frame.append_time_ms, len(frame.key), len(frame.headers))
    nothing = b"{}".ljust(len(frame.value))[: len(frame.value)]
    checked = b"".join((numbers, b"-" * len(frame.key), frame.headers, nothing))
    return MAGIC + zlib.crc32(checked, place & _U32).to_bytes(4, "little") + checked


def scan(data: bytes, place: int, *, whole: bool) -> Iterator[Frame]:
    """Yields the intact frames, in order.

    Bytes between the end of one and the start of the next are damage. Bytes behind the last one are a torn tail when
    they were never acknowledged, else damage too.

    Args:
        data: Bytes of a segment.
        place: That of the first byte, where a frame should begin.
        whole: Whether nothing follows `data`. If something does, a frame that goes on beyond it ends the scan;
            else its length is wrong, and intact frames are looked for behind it.
    """
    position = 0
    while (position := data.find(MAGIC, position)) >= 0:
        found = _frame_at(data, position, place)
        if isinstance(found, Frame):
            yield found
            position = found.end
        elif found is _Not.ALL_HERE and not whole:
            return
        else:
            position += 1


def _frame_at(data: bytes, start: int, place: int) -> Frame | _Not:
    if len(data) - start < HEAD_BYTES:
        return _Not.ALL_HERE
    _, checksum, length, offset, append_time_ms, key_bytes, header_bytes = _HEAD.unpack_from(data, start)
    headers_at = start + HEAD_BYTES + key_bytes
    value_at, end = headers_at + header_bytes, start + length
    if length > MAX_FRAME_BYTES or value_at > end:
        return _Not.INTACT
    if end > len(data):
        return _Not.ALL_HERE
    if zlib.crc32(data[start + _CHECKED_FROM : end], (place + start) & _U32) != checksum:
        return _Not.INTACT
    key, headers, value = data[start + HEAD_BYTES : headers_at], data[headers_at:value_at], data[value_at:end]
    return Frame(start, end, offset, append_time_ms, key, headers, value)
