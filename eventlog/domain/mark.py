"""The mark: how far a topic is on disk. Readers see nothing beyond it, and writers go on at it."""

import struct
import zlib
from typing import Final, NamedTuple

_MAGIC: Final = b"\xf0\xfeM\xff"
_FORM: Final = struct.Struct("<4sIQQQ")
_CHECKED_FROM: Final = 8

MARK_BYTES: Final = _FORM.size


class Mark(NamedTuple):
    """How far a topic is on disk.

    Args:
        segment: First offset of the segment that is appended to; there may be no such file before the first append.
        size: Bytes of that segment that are on disk.
        next_offset: Offset of the next record.
    """

    segment: int
    size: int
    next_offset: int


def encode(mark: Mark) -> bytes:
    """Returns the bytes of a mark."""
    unchecked = _FORM.pack(_MAGIC, 0, *mark)
    return unchecked[:4] + zlib.crc32(unchecked[_CHECKED_FROM:]).to_bytes(4, "little") + unchecked[_CHECKED_FROM:]


def decode(data: bytes) -> Mark | None:
    """Returns the mark; None when the bytes are none, or not those that were written."""
    if len(data) != MARK_BYTES:
        return None
    magic, checksum, segment, size, next_offset = _FORM.unpack(data)
    if magic != _MAGIC or zlib.crc32(data[_CHECKED_FROM:]) != checksum:
        return None
    return Mark(segment, size, next_offset)
