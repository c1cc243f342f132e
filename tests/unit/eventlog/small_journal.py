"""A small journal for unit tests, and what may happen to its files."""

import json
from collections.abc import Callable
from pathlib import Path

from eventlog.adapters.journal_file import JournalFile
from eventlog.domain import frames
from eventlog.ports import Record
from eventlog.telemetry import NoTelemetry, Quarantined

Opener = Callable[..., JournalFile]

# A limit and a value of which each makes a segment of its own.
SMALL = 80_000
BIG = b"x" * 10_000
# A frame of Record("t", "k0", b"v"): 36 bytes of numbers, 2 of key, 1 of no headers, 1 of value.
FRAME = 40


class Listener(NoTelemetry):
    """Remembers what was put into quarantine."""

    def __init__(self) -> None:
        self.told: list[Quarantined] = []

    def quarantined(self, record: Quarantined) -> None:
        self.told.append(record)


def records(count: int, topic: str = "t", value: bytes = b"v") -> list[Record]:
    return [Record(topic, f"k{number}", value) for number in range(count)]


def offsets(file: JournalFile, topic: str = "t") -> list[int]:
    return [record.offset for record in file.read(topic, 0, 10_000)]


def keys(file: JournalFile, topic: str = "t") -> list[str]:
    return [record.key if record.intact else "damaged" for record in file.read(topic, 0, 10_000)]


def segments(path: Path, topic: str = "t") -> list[Path]:
    return sorted((path / topic).glob("*.log"))


def reports(path: Path, topic: str = "t") -> list[dict[str, object]]:
    found = sorted((path / topic / "quarantine").glob("*.json"))
    return [json.loads(line) for each in found for line in each.read_text().splitlines()]


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 0xFF
    path.write_bytes(data)


def write_behind(segment: Path, offset: int, *keys: str, less: int = 0) -> bytes:
    """Does what a writer that is killed does: the frames are there, but the last bytes, and the mark is not moved."""
    data = b""
    for number, key in enumerate(keys):
        place = frames.place_of(int(segment.stem), segment.stat().st_size + len(data))
        data += frames.encode(Record("t", key, b"v"), offset + number, 1, place)
    with segment.open("ab") as file:
        file.write(data[: len(data) - less])
    return data[: len(data) - less]
