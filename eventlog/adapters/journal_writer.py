"""Appends to one topic of the journal, and puts in order what a killed writer or a broken disk left behind."""

import os
import time
from collections.abc import Callable, Sequence
from typing import Final

from eventlog.adapters.journal_folder import TopicFolder, sync_folder, write_all
from eventlog.adapters.journal_quarantine import DamageReport, Quarantine
from eventlog.domain import frames
from eventlog.domain.frames import Frame
from eventlog.domain.mark import Mark
from eventlog.ports import Record

# What a trial write takes: more than one record can.
_TRIAL_BYTES: Final = 65_536
# A segment that everybody has read is dropped while it is the newest, too, once it is worth a new file.
_WORTH_DROPPING_BYTES: Final = 1_048_576


class TopicWriter:
    """Appends under the lock of the topic, so that several processes may.

    Args:
        folder: Files of the topic.
        quarantine: Where torn tails go.
        segment_bytes: Size from which a new segment is begun.
    """

    def __init__(self, folder: TopicFolder, quarantine: Quarantine, segment_bytes: int) -> None:
        self._folder = folder
        self._quarantine = quarantine
        self._segment_bytes = segment_bytes
        self._mark: Mark | None = None
        self._open: tuple[int, int] | None = None
        self._distrusted: int | None = None

    def append(self, records: Sequence[Record], require_room: Callable[[int], None]) -> Mark:
        """Appends the records; when it returns they are on disk, when it raises none of them is acknowledged.

        Args:
            records: Of this topic.
            require_room: Called with the number of bytes; raises when there is no room for them.

        Returns:
            How far the topic is then.
        """
        with self._folder.locked():
            mark = self._settled()
            if mark.size >= self._segment_bytes or mark.segment == self._distrusted:
                mark = self._seal(mark.next_offset)
            data = _encoded(records, mark)
            require_room(len(data))
            self._write(mark, data)
            return self._move(Mark(mark.segment, mark.size + len(data), mark.next_offset + len(records)))

    def try_write(self) -> None:
        """Writes as `append` does, and takes it back; raises what an append would raise."""
        with self._folder.locked():
            mark = self._settled()
            self._write(mark, bytes(_TRIAL_BYTES))
            self._take_back(mark)

    def recover(self) -> None:
        """Puts in order what was left behind; when somebody else is writing, that one has done so."""
        with self._folder.locked(wait=False) as taken:
            if taken and (self._folder.segments() or self._folder.read_mark()):
                self._settled()

    def drop_if_read(self, below: int) -> None:
        """Ends the newest segment when all of it is below an offset, so that it can be removed."""
        mark = self._folder.read_mark()
        worth = min(_WORTH_DROPPING_BYTES, self._segment_bytes)
        if mark is None or mark.next_offset > below or mark.size < worth:
            return
        with self._folder.locked(wait=False) as taken:
            if taken and (mark := self._settled()).next_offset <= below and mark.size >= worth:
                self._seal(mark.next_offset)

    def close(self) -> None:
        """Closes what is open."""
        if self._open is not None:
            os.close(self._open[1])
            self._open = None

    def _settled(self) -> Mark:
        """Returns the mark, once the segment that it names is as long as it says."""
        mark = self._folder.read_mark()
        if mark is None or mark != self._mark:
            mark = self._checked(mark)
        size = self._folder.segment_bytes(mark.segment)
        if size > mark.size:
            mark = self._adopt(mark, size)
        elif size < mark.size:
            mark = self._give_up(mark, size)
        self._mark = mark
        return mark

    def _checked(self, mark: Mark | None) -> Mark:
        """Returns the mark, or a new one when it is lost or older than the segments."""
        segments = self._folder.segments()
        if mark is not None and (not segments or segments[-1] <= mark.segment):
            return mark
        ends = [*self._folder.positions().values(), mark.next_offset if mark else 0]
        # Microseconds of the clock, so that a journal made anew goes on beyond every offset that a reader may
        # remember of the one before; only growth matters.
        now = time.time_ns() // 1_000
        return self._seal(max(*ends, self._end_of(segments[-1], otherwise=now) if segments else now))

    def _end_of(self, segment: int, otherwise: int) -> int:
        """Returns the offset after the last frame of a segment; `otherwise` when that is not where the file ends."""
        data = self._folder.segment_path(segment).read_bytes()
        last = _last_frame(data, frames.place_of(segment, 0))
        return last.offset + 1 if last is not None and last.end == len(data) else otherwise

    def _adopt(self, mark: Mark, size: int) -> Mark:
        """Keeps the whole frames that a killed writer left beyond the mark, and cuts off the torn one."""
        segment = self._segment_file(mark)
        data = os.pread(segment, size - mark.size, mark.size)
        last = _last_frame(data, frames.place_of(mark.segment, mark.size))
        good = 0 if last is None else last.end
        next_offset = mark.next_offset if last is None else max(mark.next_offset, last.offset + 1)
        if good < len(data):
            reason = "torn tail: its writer was killed, and nobody was told that it is kept"
            torn = DamageReport(
                topic=self._folder.topic,
                segment=mark.segment,
                position=mark.size + good,
                bytes=len(data) - good,
                first_offset=next_offset,
                next_offset=next_offset,
                reason=reason,
            )
            self._quarantine.keep(torn, data[good:])
            os.ftruncate(segment, mark.size + good)
        os.fdatasync(segment)
        return self._move(Mark(mark.segment, mark.size + good, next_offset))

    def _give_up(self, mark: Mark, size: int) -> Mark:
        """Begins a new segment behind one that lost bytes; readers find out which records are gone."""
        data = self._folder.segment_path(mark.segment).read_bytes() if size else b""
        last = _last_frame(data, frames.place_of(mark.segment, 0))
        lost = DamageReport(
            topic=self._folder.topic,
            segment=mark.segment,
            position=size,
            bytes=0,
            first_offset=mark.segment if last is None else last.offset + 1,
            next_offset=mark.next_offset,
            reason=f"{mark.size - size} bytes are missing",
        )
        self._quarantine.keep_if_possible(lost, b"")
        return self._seal(mark.next_offset)

    def _write(self, mark: Mark, data: bytes) -> None:
        segment = self._segment_file(mark)
        try:
            write_all(segment, data, mark.size)
        except OSError:
            self._take_back(mark)
            raise
        try:
            os.fdatasync(segment)
        except OSError:
            # What is on disk now nobody knows, and a second flush would not say.
            self._distrusted = mark.segment
            self._take_back(mark)
            raise

    def _take_back(self, mark: Mark) -> None:
        os.ftruncate(self._segment_file(mark), mark.size)

    def _segment_file(self, mark: Mark) -> int:
        """Returns the descriptor of the segment that the mark names; its name is on disk before anything in it."""
        if self._open is not None and self._open[0] == mark.segment:
            return self._open[1]
        self.close()
        descriptor = self._folder.open_segment(mark.segment, make=True)
        self._open = (mark.segment, descriptor)
        if mark.size == 0:
            self._folder.write_mark(mark, sync=True)
            sync_folder(self._folder.path)
        return descriptor

    def _seal(self, next_offset: int) -> Mark:
        """Ends the newest segment; the file of the next is made when there is something to write."""
        self.close()
        mark = Mark(next_offset, 0, next_offset)
        self._folder.write_mark(mark, sync=True)
        self._mark = mark
        return mark

    def _move(self, mark: Mark) -> Mark:
        self._folder.write_mark(mark, sync=False)
        self._mark = mark
        return mark


def _encoded(records: Sequence[Record], mark: Mark) -> bytes:
    now_ms = time.time_ns() // 1_000_000
    place = frames.place_of(mark.segment, mark.size)
    parts = []
    for offset, record in enumerate(records, mark.next_offset):
        parts.append(frames.encode(record, offset, now_ms, place))
        place += len(parts[-1])
    return b"".join(parts)


def _last_frame(data: bytes, place: int) -> Frame | None:
    last = None
    for frame in frames.scan(data, place, whole=True):
        last = frame
    return last
