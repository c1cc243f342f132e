"""Reads one segment of the journal, from any offset, around what is damaged."""

import os
from bisect import bisect_right
from collections.abc import Iterator
from typing import Final, NamedTuple

from eventlog.domain import frames
from eventlog.domain.frames import Frame

# Read at a time: some 600 records of usual size.
_CHUNK_BYTES: Final = 262_144


class Hole(NamedTuple):
    """A stretch that cannot be read.

    Args:
        first_offset: The first offset that it hides.
        next_offset: The first intact one behind it; the same when it hides none.
        position: Where in the segment it begins, in bytes.
        data: What is there; empty when the bytes are missing.
        append_time_ms: About when it was written, in Unix milliseconds.
    """

    first_offset: int
    next_offset: int
    position: int
    data: bytes
    append_time_ms: int


class SegmentReader:
    """An open segment.

    Args:
        descriptor: Open for reading; closed with this.
        first: Its first offset.
    """

    def __init__(self, descriptor: int, first: int) -> None:
        self._descriptor = descriptor
        self._first = first
        # Offsets and where their frames begin, one for each chunk that was read: where a search can start.
        self._known_offsets = [first]
        self._known_positions = [0]
        # The frame that a reader who goes on where it stopped asks for next.
        self._cursor = (first, 0)

    def close(self) -> None:
        """Closes the file."""
        os.close(self._descriptor)

    def read(self, offset: int, end_offset: int, size: int | None) -> Iterator[Frame | Hole]:
        """Yields what is there from an offset on, in order; every offset up to the end is in a frame or in a hole.

        Args:
            offset: Where to begin.
            end_offset: The offset after the last acknowledged one of this segment.
            size: How much of the file is acknowledged, in bytes; None: all of it.
        """
        expected, position = self._place_of(offset)
        size = self._size() if size is None else min(size, self._size())
        base = position
        for base, frame in self._frames(position, size):
            if frame.offset >= end_offset:  # a flush failed, and the next segment has these offsets
                break
            if frame.offset < expected:  # nothing that was appended behind the one before
                continue
            if (hole_end := base + frame.start) > position or frame.offset > expected:
                hole = self._hole(expected, frame.offset, position, hole_end)
                if hole.next_offset > offset:
                    yield hole._replace(append_time_ms=frame.append_time_ms)
            if frame.start == 0:
                self._note(frame.offset, base)
            expected, position = self._cursor = (frame.offset + 1, base + frame.end)
            if frame.offset >= offset:
                yield frame
        if max(expected, offset) < end_offset:
            yield self._hole(expected, end_offset, position, size)

    def end_offset(self) -> int | None:
        """Returns the offset after the last intact frame; None when there is none near the end of the file."""
        size = self._size()
        last = None
        for _, frame in self._frames(max(0, size - _CHUNK_BYTES), size):
            last = frame.offset + 1
        return last

    def _frames(self, position: int, size: int) -> Iterator[tuple[int, Frame]]:
        """Yields frames, each with the position that its own ones are relative to."""
        chunk = _CHUNK_BYTES
        while position < size:
            data = os.pread(self._descriptor, min(chunk, size - position), position)
            whole = not data or position + len(data) >= size
            used = 0
            for frame in frames.scan(data, frames.place_of(self._first, position), whole=whole):
                yield position, frame
                used = frame.end
            if whole:
                return
            position += used
            chunk = _CHUNK_BYTES if used else 2 * chunk

    def _hole(self, first_offset: int, next_offset: int, position: int, end: int) -> Hole:
        data = os.pread(self._descriptor, max(0, end - position), position)
        return Hole(first_offset, next_offset, position, data, os.fstat(self._descriptor).st_mtime_ns // 1_000_000)

    def _place_of(self, offset: int) -> tuple[int, int]:
        if self._cursor[0] == offset:
            return self._cursor
        index = bisect_right(self._known_offsets, offset) - 1
        return self._known_offsets[max(index, 0)], self._known_positions[max(index, 0)]

    def _note(self, offset: int, position: int) -> None:
        if offset > self._known_offsets[-1]:
            self._known_offsets.append(offset)
            self._known_positions.append(position)

    def _size(self) -> int:
        return os.fstat(self._descriptor).st_size
