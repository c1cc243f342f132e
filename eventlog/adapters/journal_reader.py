"""Reads one topic of the journal, without a lock, up to what is on disk."""

from bisect import bisect_right
from collections.abc import Iterator
from itertools import islice, pairwise
from typing import Final, NamedTuple

from eventlog.adapters.journal_folder import TopicFolder
from eventlog.adapters.journal_quarantine import DamageReport, Quarantine
from eventlog.adapters.journal_segment import Hole, SegmentReader
from eventlog.domain import headers
from eventlog.domain.frames import Frame
from eventlog.domain.mark import Mark
from eventlog.ports import MAX_RECORD_BYTES, StoredRecord

# One is read from; a second is looked into, for the age of what waits.
_MAX_OPEN: Final = 3


class _Stretch(NamedTuple):
    """A segment, and how much of it is acknowledged: see SegmentReader.read."""

    segment: int
    end_offset: int
    size: int | None


class TopicReader:
    """Reads records, and puts what is damaged into quarantine.

    Args:
        folder: Files of the topic.
        quarantine: Where damaged bytes go.
    """

    def __init__(self, folder: TopicFolder, quarantine: Quarantine) -> None:
        self._folder = folder
        self._quarantine = quarantine
        self._mark: Mark | None = None
        self._segments: list[int] = []
        self._looked = False
        self._open: dict[int, SegmentReader] = {}
        self._ends: dict[int, int] = {}

    def read(self, offset: int, max_records: int) -> list[StoredRecord]:
        """Returns the records from an offset on; fewer than asked for only at the end."""
        try:
            return list(islice(self._records(offset), max_records))
        except FileNotFoundError:  # removed between the look at the names and the opening
            self.look_again()
            return list(islice(self._records(offset), max_records))

    def next_offset(self) -> int | None:
        """Returns the offset of the next record; None when there has never been one."""
        mark = self._marked()
        return None if mark is None else mark.next_offset

    def count_from(self, offset: int) -> int:
        """Returns how many records there are from an offset on."""
        count = 0
        for stretch in self._stretches(offset):
            end = stretch.end_offset if stretch.size is not None else self._end_of(stretch.segment)
            count += max(0, end - max(stretch.segment, offset))
        return count

    def look_again(self) -> None:
        """Looks for segments anew before it reads on, and lets go of those that are gone."""
        self._looked = False

    def close(self) -> None:
        """Closes what is open."""
        self._keep_open(set())

    def _records(self, offset: int) -> Iterator[StoredRecord]:
        for stretch in self._stretches(offset):
            for found in self._opened(stretch.segment).read(offset, stretch.end_offset, stretch.size):
                if isinstance(found, Frame):
                    yield self._intact(found)
                else:
                    self._put_aside(stretch.segment, found)
                    if found.next_offset > found.first_offset:
                        yield self._damaged(found)

    def _stretches(self, offset: int) -> Iterator[_Stretch]:
        """Yields the segments that hold something from an offset on."""
        mark = self._marked()
        if mark is None or offset >= mark.next_offset:
            return
        ends = dict(pairwise([*self._segments, mark.segment]))
        for first in self._segments[max(0, bisect_right(self._segments, offset) - 1) :]:
            if first == mark.segment:
                yield _Stretch(first, mark.next_offset, mark.size)
            else:
                yield _Stretch(first, ends[first], None)

    def _marked(self) -> Mark | None:
        """Returns how far the topic is, or was when the mark could last be read; then the segments are known."""
        mark = self._folder.read_mark() or self._mark
        if mark is None:
            return None
        begun = self._mark is None or self._mark.segment != mark.segment
        if not self._looked or begun or (mark.size and self._segments[-1:] != [mark.segment]):
            self._segments = [segment for segment in self._folder.segments() if segment <= mark.segment]
            self._keep_open(set(self._segments))
            self._ends = {segment: end for segment, end in self._ends.items() if segment in self._segments}
        self._mark, self._looked = mark, True
        return mark

    def _opened(self, segment: int) -> SegmentReader:
        found = self._open.get(segment)
        if found is None:
            self._keep_open(set(list(self._open)[1 - _MAX_OPEN :]))
            found = self._open[segment] = SegmentReader(self._folder.open_segment(segment), segment)
        return found

    def _keep_open(self, segments: set[int]) -> None:
        for segment in self._open.keys() - segments:
            self._open.pop(segment).close()

    def _end_of(self, segment: int) -> int:
        """Returns the end of a segment that is appended to no more."""
        if segment not in self._ends:
            self._ends[segment] = self._opened(segment).end_offset() or segment
        return self._ends[segment]

    def _intact(self, frame: Frame) -> StoredRecord:
        return StoredRecord(
            self._folder.topic,
            0,
            frame.offset,
            frame.key.decode(errors="surrogateescape"),
            frame.value,
            headers.decode(frame.headers),
            frame.append_time_ms,
        )

    def _damaged(self, hole: Hole) -> StoredRecord:
        """Returns one record for all that the hole hides, at its last offset, so that reading goes on behind it."""
        value = hole.data[:MAX_RECORD_BYTES]
        offset, time_ms = hole.next_offset - 1, hole.append_time_ms
        return StoredRecord(self._folder.topic, 0, offset, "", value, append_time_ms=time_ms, intact=False)

    def _put_aside(self, segment: int, hole: Hole) -> None:
        found = DamageReport(
            topic=self._folder.topic,
            segment=segment,
            position=hole.position,
            bytes=len(hole.data),
            first_offset=hole.first_offset,
            next_offset=hole.next_offset,
            reason="damaged" if hole.data else "missing",
        )
        self._quarantine.keep_if_possible(found, hole.data)
