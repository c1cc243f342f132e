"""The export: a folder of parquet files for each UTC day, and a manifest that says what they hold.

A day is made in a hidden folder and moved into its place whole; then the manifest names it. Whatever ends the export
on the way, the next one finds days that hold, days that are missing, and hidden folders to remove.
"""

import hashlib
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from storage.training_data import DayCount, InteractionRow
from trainer.adapters.parquet_files import (
    SCHEMA_VERSION,
    USUAL_SHAPE,
    DataFile,
    ExportError,
    FileShape,
    sha256_of,
    write_files,
)
from trainer.domain.merge import Merged
from trainer.domain.quality import DayQuality, QualityCounter, in_all, with_volumes

if TYPE_CHECKING:
    from trainer.adapters.log_duckdb import DuckDbLog

MANIFEST_FILE: Final = "manifest.json"

_MEND: Final = "`feed trainer export` makes it again"


class ExportedDay(msgspec.Struct, frozen=True):
    """One exported day.

    Args:
        files: Its files, in order.
        source_rows: Interactions of the day in the database.
        newest_row: Highest row number among them.
        quality: What there is to know of them.
    """

    files: tuple[DataFile, ...]
    source_rows: int
    newest_row: int
    quality: DayQuality

    def is_of(self, count: DayCount) -> bool:
        """Tells whether the database still has the day as it was exported."""
        return (self.source_rows, self.newest_row) == (count.rows, count.newest_row)


class ExportManifest(msgspec.Struct, frozen=True):
    """What an export holds.

    Args:
        schema_version: Version of the files' columns.
        quality: What there is to know of all days.
        days: The days by YYYY-MM-DD, in order.
    """

    schema_version: int
    quality: DayQuality
    days: dict[str, ExportedDay]

    def qualities(self) -> dict[str, DayQuality]:
        """Returns what there is to know of each day."""
        return {day: known.quality for day, known in self.days.items()}


class ParquetExport:
    """The export in a folder; one process at a time writes.

    Args:
        folder: Holds `dt=YYYY-MM-DD/part-00000.parquet` and so on, and the manifest.
        shape: How files are cut.
    """

    def __init__(self, folder: Path, shape: FileShape = USUAL_SHAPE) -> None:
        self._folder = folder
        self._shape = shape

    def manifest(self) -> ExportManifest:
        """Returns what is exported; an unreadable or older export counts as nothing."""
        try:
            found = msgspec.json.decode((self._folder / MANIFEST_FILE).read_bytes(), type=ExportManifest)
        except (OSError, msgspec.DecodeError):
            return _manifest({})
        return found if found.schema_version == SCHEMA_VERSION else _manifest({})

    def damaged(self, day: str, known: ExportedDay) -> list[str]:
        """Reads the files of a day; returns the names of those that are missing or not what was exported."""
        return [f"dt={day}/{file.name}" for file in known.files if not _holds(self._path(day) / file.name, file)]

    def write_day(self, count: DayCount, rows: Iterable[InteractionRow]) -> None:
        """Writes one day: it appears whole, and the same rows give the same bytes.

        Args:
            count: The day as it was counted.
            rows: What was told of one view side by side, the longest first; gone through once.
        """
        day = count.day.isoformat()
        making = self._folder / f".making-dt={day}"
        making.mkdir(parents=True)
        merged, counter = Merged(rows), QualityCounter()
        files = write_files(making, merged, counter, self._shape)
        self._discard(self._path(day))
        making.rename(self._path(day))
        known = ExportedDay(files, count.rows, count.newest_row, counter.quality(merged.repeats))
        self._write_manifest({**self.manifest().days, day: known})
        self._remove_hidden()

    def remove(self, days: Iterable[str]) -> None:
        """Removes days."""
        gone = set(days)
        self._write_manifest({day: known for day, known in self.manifest().days.items() if day not in gone})
        self.remove_leftovers()

    def remove_leftovers(self) -> None:
        """Removes what the manifest does not name: days that were given up, and what a killed export left."""
        named = {self._path(day).name for day in self.manifest().days}
        for path in self._folder.glob("dt=*"):
            if path.name not in named:
                self._discard(path)
        self._remove_hidden()

    def read(self) -> "DuckDbLog":
        """Reads the whole export into memory.

        Raises:
            ExportError: When there is none, or a file is not what the manifest says.
        """
        # DuckDB and Ibis take a second and 60 MB, which whoever only exports or waits for the night is spared.
        from trainer.adapters.parquet_log import LogReader  # noqa: PLC0415

        days = self._days()
        reader = LogReader(sum(file.rows for known in days.values() for file in known.files))
        for day, known in days.items():
            for file in known.files:
                reader.add(self._content(day, file))
        return reader.log()

    def paths(self) -> list[str]:
        """Returns where the files are, each of them read and found whole.

        Raises:
            ExportError: When there is none, or a file is not what the manifest says.
        """
        days = self._days()
        damaged = [file for day, known in days.items() for file in self.damaged(day, known)]
        if damaged:
            raise ExportError(f"{damaged[0]} is not the file that was exported; {_MEND}")
        return [str((self._path(day) / file.name).absolute()) for day, known in days.items() for file in known.files]

    def _days(self) -> Mapping[str, ExportedDay]:
        days = self.manifest().days
        if not days:
            raise ExportError(f"no export in {self._folder.name}: there are no interactions")
        return days

    def _content(self, day: str, file: DataFile) -> bytes:
        path = self._path(day) / file.name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ExportError(f"dt={day}/{file.name}: {error.strerror}; {_MEND}") from error
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise ExportError(f"dt={day}/{file.name} is not the file that was exported; {_MEND}")
        return content

    def _path(self, day: str) -> Path:
        return self._folder / f"dt={day}"

    def _discard(self, path: Path) -> None:
        """Hides a folder in one step, so that nobody ever sees a part of a day; it is removed later."""
        if path.exists():
            path.rename(path.with_name(f".old-{path.name}"))

    def _remove_hidden(self) -> None:
        for path in self._folder.glob(".*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _write_manifest(self, days: Mapping[str, ExportedDay]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        temporary = self._folder / f".{MANIFEST_FILE}"
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(_manifest(days))))
        temporary.replace(self._folder / MANIFEST_FILE)


def _manifest(days: Mapping[str, ExportedDay]) -> ExportManifest:
    """Puts a manifest together: days in order, each held against those before it."""
    volumes = with_volumes({day: days[day].quality for day in sorted(days)})
    compared = {day: msgspec.structs.replace(days[day], quality=quality) for day, quality in volumes.items()}
    return ExportManifest(SCHEMA_VERSION, in_all(list(volumes.values())), compared)


def _holds(path: Path, file: DataFile) -> bool:
    try:
        return sha256_of(path) == file.sha256
    except OSError:
        return False
