"""The journal behind Kafka as the relay reads it."""

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Final, TypeVar

from eventlog.adapters.journal_file import JournalFile
from eventlog.ports import EventLogError, StoredRecord
from eventlog.telemetry import JournalMeasured, Telemetry
from runtime.lock_file import AlreadyRunningError, exclusive

READER: Final = "relay"

ResultT = TypeVar("ResultT")


class JournalBacklog:
    """Reads a journal that only this process relays; opens it on first use, and again after a failure.

    Args:
        path: Folder of the journal.
        topics: What is relayed.
        telemetry: Told of damage.
    """

    def __init__(self, path: Path, topics: tuple[str, ...], *, telemetry: Telemetry | None = None) -> None:
        self._path = path
        self._topics = topics
        self._telemetry = telemetry
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal_relay")
        self._opened = ExitStack()
        self._file: JournalFile | None = None

    async def positions(self) -> dict[str, int]:
        """Returns where the relay is, for each topic."""
        return await self._run(lambda file: {topic: file.position(topic, READER) or 0 for topic in self._topics})

    async def read(self, positions: Mapping[str, int], max_records: int) -> list[StoredRecord]:
        """Returns the next records from there on, each topic in order."""
        return await self._run(lambda file: _read(file, positions, max_records))

    async def note(self, positions: Mapping[str, int]) -> None:
        """Writes where the relay is, and frees what lies before."""
        await self._run(lambda file: _note(file, positions))

    async def measure(self, positions: Mapping[str, int]) -> JournalMeasured:
        """Returns how much there is from there on."""
        return await self._run(lambda file: _measure(file, positions))

    async def close(self) -> None:
        """Closes the journal and lets another process have it."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close_file)
        self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[[JournalFile], ResultT]) -> ResultT:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._work, work)

    def _work(self, work: Callable[[JournalFile], ResultT]) -> ResultT:
        try:
            return work(self._file or self._open())
        except AlreadyRunningError as error:
            raise EventLogError(f"the journal {self._path} cannot be relayed: {error}") from error
        except OSError as error:
            self._close_file()
            raise EventLogError(f"the journal {self._path} cannot be read: {error}") from error

    def _open(self) -> JournalFile:
        self._opened.enter_context(exclusive(self._path / "relay.lock", "relay of this journal"))
        self._file = JournalFile(self._path, telemetry=self._telemetry)
        self._opened.callback(self._file.close)
        return self._file

    def _close_file(self) -> None:
        self._file = None
        self._opened.close()


def _read(file: JournalFile, positions: Mapping[str, int], max_records: int) -> list[StoredRecord]:
    found: list[StoredRecord] = []
    for topic, position in positions.items():
        found += file.read(topic, position, max_records - len(found))
    return found


def _note(file: JournalFile, positions: Mapping[str, int]) -> None:
    for topic, position in positions.items():
        if position:
            file.set_position(topic, READER, position)


def _measure(file: JournalFile, positions: Mapping[str, int]) -> JournalMeasured:
    waiting = sum(file.count_from(topic, position) for topic, position in positions.items())
    ages = [file.oldest_append_time_ms(topic, position) for topic, position in positions.items()]
    times = [time_ms for time_ms in ages if time_ms is not None]
    oldest_age_s = max(0.0, time.time() - min(times) / 1000) if times else 0.0
    return JournalMeasured(file.bytes_used(), waiting, oldest_age_s)
