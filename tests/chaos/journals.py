"""A journal whose every byte is known, and the ways to damage it."""

import random
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from eventlog.adapters.journal_file import JournalFile
from eventlog.domain import headers
from eventlog.ports import Record, StoredRecord

TOPIC: Final = "feed.interactions.v1"
READER: Final = "sink"
# Some segments of 100 KB.
MAX_BYTES: Final = 800_000 * 2
PAGE_BYTES: Final = 4_096
# The numbers before key, headers and value of a frame.
HEAD_BYTES: Final = 36

Spoiler = Callable[[Path, random.Random], None]


@dataclass(frozen=True)
class Written:
    """A record, and the bytes of the segment that hold it."""

    record: StoredRecord
    segment: str
    start: int
    end: int


@dataclass(frozen=True)
class KnownJournal:
    """A journal that nothing writes any more."""

    path: Path
    written: list[Written]

    def spoiled(self, copy: Path, spoil: Spoiler, chance: random.Random) -> "SpoiledJournal":
        """Returns a damaged copy."""
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.path, copy)
        spoil(copy / TOPIC, chance)
        return SpoiledJournal(self, copy)


@dataclass(frozen=True)
class SpoiledJournal:
    """A damaged copy, and what of it is as it was."""

    pristine: KnownJournal
    path: Path

    def intact(self) -> list[StoredRecord]:
        """Returns the records none of whose bytes changed; found by comparing files, not by reading the journal."""
        now = {path.name: path.read_bytes() for path in (self.path / TOPIC).glob("*.log")}
        before = {path.name: path.read_bytes() for path in (self.pristine.path / TOPIC).glob("*.log")}
        return [
            each.record
            for each in self.pristine.written
            if now.get(each.segment, b"")[each.start : each.end] == before[each.segment][each.start : each.end]
        ]


def known_journal(path: Path, records: int, chance: random.Random) -> KnownJournal:
    """Writes a journal in groups of some records, with a reader in its midst."""
    with closing(JournalFile(path, max_bytes=MAX_BYTES)) as file:
        number = 0
        while number < records:
            group = [_record(number + each, chance) for each in range(chance.randint(1, 25))]
            file.append(group)
            number += len(group)
        stored = file.read(TOPIC, 0, 2 * records)
        file.set_position(TOPIC, READER, stored[5].offset)
    return KnownJournal(path, _laid_out(path / TOPIC, stored))


def _record(number: int, chance: random.Random) -> Record:
    value = b'{"number":%d,"text":"%s"}' % (number, b"x" * chance.randint(0, 600))
    told = (("content-type", b"application/json"), ("traceparent", chance.randbytes(55)))
    return Record(TOPIC, f"user{number % 97}", value, told[: chance.randint(0, 2)])


def _laid_out(folder: Path, stored: list[StoredRecord]) -> list[Written]:
    """Says which bytes hold which record: in a segment they lie one after the other, with nothing between."""
    written, left = [], list(reversed(stored))
    for segment in sorted(folder.glob("*.log")):
        position, size = 0, segment.stat().st_size
        while position < size:
            record = left.pop()
            end = position + _frame_bytes(record)
            written.append(Written(record, segment.name, position, end))
            position = end
        assert position == size
    assert not left
    return written


def _frame_bytes(record: StoredRecord) -> int:
    return HEAD_BYTES + len(record.key.encode()) + len(headers.encode(record.headers)) + len(record.value)


def _segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.log"))


def torn_tail(folder: Path, chance: random.Random) -> None:
    """A write that was going on when the machine stopped: part of a frame, or of a page, behind the end."""
    newest = _segments(folder)[-1]
    whole = newest.read_bytes()
    torn = chance.choice([whole[: chance.randint(1, 400)], bytes(chance.randint(1, 5_000)), chance.randbytes(300)])
    with newest.open("ab") as file:
        file.write(torn)


def flipped_byte(folder: Path, chance: random.Random) -> None:
    """One byte of a segment is another."""
    segment = chance.choice(_segments(folder))
    place = chance.randrange(segment.stat().st_size)
    _overwrite(segment, place, bytes([segment.read_bytes()[place] ^ chance.randint(1, 255)]))


def flipped_bytes(folder: Path, chance: random.Random) -> None:
    """Some bytes, anywhere."""
    for _ in range(chance.randint(2, 40)):
        flipped_byte(folder, chance)


def zeroed_page(folder: Path, chance: random.Random) -> None:
    """A page never reached the disk."""
    segment = chance.choice(_segments(folder))
    place = chance.randrange(segment.stat().st_size) // PAGE_BYTES * PAGE_BYTES
    _overwrite(segment, place, bytes(min(PAGE_BYTES, segment.stat().st_size - place)))


def foreign_page(folder: Path, chance: random.Random) -> None:
    """A page of another place was written here."""
    one, other = chance.choice(_segments(folder)), chance.choice(_segments(folder))
    page = other.read_bytes()[chance.randrange(other.stat().st_size) :][:PAGE_BYTES]
    place = chance.randrange(one.stat().st_size)
    _overwrite(one, place, page[: one.stat().st_size - place])


def truncated(folder: Path, chance: random.Random) -> None:
    """The end of some segment is missing."""
    segment = chance.choice(_segments(folder))
    with segment.open("r+b") as file:
        file.truncate(chance.randrange(segment.stat().st_size))


def truncated_newest(folder: Path, chance: random.Random) -> None:
    """The end of the newest segment is missing, and with it records that were acknowledged last."""
    newest = _segments(folder)[-1]
    with newest.open("r+b") as file:
        file.truncate(chance.randrange(newest.stat().st_size))


def lost_segment(folder: Path, chance: random.Random) -> None:
    """A whole segment is missing; not the oldest, which is what one that was read looks like."""
    chance.choice(_segments(folder)[1:]).unlink()


def damaged_books(folder: Path, chance: random.Random) -> None:
    """What the journal notes about itself is wrong: mark or positions, and a byte of the newest segment perhaps."""
    for name in chance.sample(["mark", f"{READER}.position", "lock"], chance.randint(1, 3)):
        data = (folder / name).read_bytes()
        spoilt = [b"", data[:-1], chance.randbytes(len(data)), bytes(len(data))]
        (folder / name).write_bytes(chance.choice(spoilt))
    if chance.random() < 0.5:
        newest = _segments(folder)[-1]
        _overwrite(newest, chance.randrange(newest.stat().st_size), b"\xee")


def _overwrite(path: Path, place: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(data)


SPOILERS: Final[dict[str, Spoiler]] = {
    spoil.__name__: spoil
    for spoil in (
        torn_tail,
        flipped_byte,
        flipped_bytes,
        zeroed_page,
        foreign_page,
        truncated,
        truncated_newest,
        lost_segment,
        damaged_books,
    )
}
