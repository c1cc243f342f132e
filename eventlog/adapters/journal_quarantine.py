"""Puts damaged bytes of the journal aside, once, with a line of JSON that says what they are."""

import contextlib
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import msgspec
import structlog

from eventlog.domain.frames import HEAD_BYTES
from eventlog.telemetry import Quarantined, Telemetry

_LOG = structlog.get_logger(__name__)

# Of one topic. What is damaged beyond it is reported, and its bytes are not kept: it must not fill the disk.
_MAX_KEPT_BYTES: Final = 64_000_000
_MODE: Final = 0o600


@dataclass(frozen=True, slots=True)
class DamageReport:
    """A stretch of a segment that cannot be read.

    Args:
        topic: Name of the topic.
        segment: First offset of the segment.
        position: Where in the segment it begins, in bytes.
        bytes: How many damaged bytes there are; 0 when they are missing.
        first_offset: The first offset that may have been lost.
        next_offset: The first one that is not; the same when nothing acknowledged was lost.
        reason: What happened, in words.
    """

    topic: str
    segment: int
    position: int
    bytes: int
    first_offset: int
    next_offset: int
    reason: str

    @property
    def records(self) -> int:
        """How many acknowledged records were lost, at most; offsets may have gaps, so bytes bound it too."""
        hidden = self.next_offset - self.first_offset
        return min(hidden, max(1, self.bytes // HEAD_BYTES)) if self.bytes else hidden


class Quarantine:
    """The quarantine of one topic.

    Args:
        folder: Where the bytes go; made when the first ones come.
        telemetry: Told of each stretch, once.
    """

    def __init__(self, folder: Path, telemetry: Telemetry) -> None:
        self._folder = folder
        self._telemetry = telemetry
        self._known: set[tuple[int, int, int]] = set()

    def keep(self, found: DamageReport, data: bytes) -> None:
        """Keeps the bytes and their report, unless that was done before.

        Raises:
            OSError: When they cannot be written.
        """
        place = (found.segment, found.position, found.bytes)
        if place in self._known:
            return
        self._folder.mkdir(mode=0o700, exist_ok=True)
        name = "-".join(map(str, place))
        report = self._folder / f"{name}.json"
        if not report.exists():
            if self._kept_bytes() + len(data) <= _MAX_KEPT_BYTES:
                _write(self._folder / f"{name}.bin", data)
            _write(report, msgspec.json.encode(asdict(found) | {"found_time_ms": time.time_ns() // 1_000_000}) + b"\n")
            _LOG.error("eventlog.quarantined", records=found.records, **asdict(found))
            self._telemetry.quarantined(Quarantined(found.bytes, found.records))
        self._known.add(place)

    def keep_if_possible(self, found: DamageReport, data: bytes) -> None:
        """Keeps the bytes; a reader goes on when they cannot be written."""
        with contextlib.suppress(OSError):
            self.keep(found, data)

    def _kept_bytes(self) -> int:
        return sum(path.stat().st_size for path in self._folder.glob("*.bin"))


def _write(path: Path, data: bytes) -> None:
    new = path.with_suffix(f"{path.suffix}.{os.getpid()}")
    target = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE)
    with os.fdopen(target, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
