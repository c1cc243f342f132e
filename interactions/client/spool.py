"""Keeps events that wait for their answer in a file, so that the next process delivers what this one could not.

One file of JSON lines, only ever appended to: an event, or `{"settled":[event ids]}`. A write is in the system's hands
when it returns: it survives the end of the process, not of the machine.
"""

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from interactions.client.event import Event

# Several processes may be given one path: each takes a file of its own, PATH, PATH.1, …
_MAX_PROCESSES: Final = 64
# A file is written anew when it has grown beyond this, and what still waits is a quarter of it.
_TIDY_BYTES: Final = 1_000_000


class SpoolError(Exception):
    """The operator's fault: the spool cannot be opened, so a Tracker that was to have one is not made."""


class Spool:
    """The file of one process; the calls of one Tracker, one at a time.

    Args:
        path: Where it lies; its folder is made.
    """

    def __init__(self, path: Path) -> None:
        self._base = path
        self._path = path
        self._descriptor = -1
        self._size = 0
        self._torn = False
        self._waiting: dict[str, bytes] = {}
        self.errors = 0

    @property
    def is_open(self) -> bool:
        """Whether it has a file."""
        return self._descriptor >= 0

    def open(self) -> list[Event]:
        """Takes a file, and what earlier processes left in it and in the files beside it.

        Raises:
            SpoolError: The file cannot be written.
        """
        try:
            self._base.parent.mkdir(parents=True, exist_ok=True)
            with ExitStack() as closing:
                found, others = self._claim(closing)
                self._waiting = found | self._waiting
                self._rewrite()
                for descriptor in others:
                    os.ftruncate(descriptor, 0)
        except OSError as error:
            self.close()
            self.errors += 1
            raise SpoolError(f"the spool {self._base} cannot be opened: {error}") from error
        return [Event(event_id, line) for event_id, line in found.items()]

    def add(self, event: Event) -> None:
        """Keeps an event."""
        self._waiting[event.event_id] = event.line
        self._write(event.line)  # without a file an error like any other

    def settled(self, events: Iterable[Event]) -> None:
        """Lets events go that have their answer."""
        ids = [event.event_id for event in events]
        for event_id in ids:
            self._waiting.pop(event_id, None)
        if self._waiting:
            self._write(json.dumps({"settled": ids}, separators=(",", ":")).encode())
        self._tidy()

    def close(self) -> None:
        """Closes the file; what still waits stays in it."""
        if self.is_open:
            os.close(self._descriptor)
            self._descriptor = -1

    def _claim(self, closing: ExitStack) -> tuple[dict[str, bytes], list[int]]:
        """Takes the first file that no process holds; returns what is in all such files, and the locked others."""
        found: dict[str, bytes] = {}
        others: list[int] = []
        for path in self._candidates():
            descriptor = _locked(path)
            if descriptor is None:
                continue
            found |= _waiting_in(path)
            if self._descriptor < 0:
                self._path, self._descriptor = path, descriptor
            else:
                others.append(descriptor)
                closing.callback(os.close, descriptor)
        if self._descriptor < 0:
            raise SpoolError(f"{_MAX_PROCESSES} processes use the spool {self._base} already")
        return found, others

    def _candidates(self) -> Iterator[Path]:
        """Yields files until this process has one, and then those that are there."""
        for number in range(_MAX_PROCESSES):
            path = self._base if number == 0 else self._base.with_name(f"{self._base.name}.{number}")
            if self._descriptor < 0 or path.exists():
                yield path

    def _tidy(self) -> None:
        try:
            if not self._waiting:
                os.ftruncate(self._descriptor, 0)
                self._size, self._torn = 0, False
            elif self._size > _TIDY_BYTES and self._size > 4 * sum(map(len, self._waiting.values())):
                self._rewrite()
        except OSError:
            self.errors += 1

    def _rewrite(self) -> None:
        """Puts a file in its place that holds just what waits; at no time is there a file that holds less."""
        new = self._path.with_name(f"{self._path.name}.new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            whole = b"".join(line + b"\n" for line in self._waiting.values())
            _write_all(descriptor, whole)
            new.replace(self._path)
        except OSError:
            os.close(descriptor)
            raise
        self.close()
        self._descriptor, self._size, self._torn = descriptor, len(whole), False

    def _write(self, line: bytes) -> None:
        # What a full disk cut off must not run into the next line.
        whole = (b"\n" if self._torn else b"") + line + b"\n"
        try:
            _write_all(self._descriptor, whole)
        except OSError:
            self.errors += 1
            self._torn = True
        else:
            self._size += len(whole)
            self._torn = False


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _locked(path: Path) -> int | None:
    """Opens and locks a file; None when another process holds it, or has just put another in its place."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_ino == path.stat().st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _waiting_in(path: Path) -> Mapping[str, bytes]:
    """Reads what waits; a line that a killed process left half written is passed over."""
    waiting: dict[str, bytes] = {}
    for line in path.read_bytes().splitlines():
        found = _object(line)
        settled = found.get("settled")
        if isinstance(settled, Sequence):
            for event_id in settled:
                waiting.pop(event_id, None)
        elif isinstance(event_id := found.get("eventId"), str):
            waiting[event_id] = line
    return waiting


def _object(line: bytes) -> dict[str, object]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
