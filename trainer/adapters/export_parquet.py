"""Interactions as parquet: one file a UTC day, and a manifest that says what they hold."""

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from storage.training_data import DayCount, InteractionRow
from trainer.domain.log import InteractionLog, Kind

# 2: the recommendation that an interaction followed, and the rest of what the client told.
SCHEMA_VERSION: Final = 2
MANIFEST_FILE: Final = "manifest.json"

SCHEMA: Final = pa.schema(
    [
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("interaction_type", pa.string(), nullable=False),
        pa.field("watch_time_s", pa.float64(), nullable=False),
        pa.field("event_time", pa.timestamp("ms", tz="UTC"), nullable=False),
        pa.field("feed_session_id", pa.string()),
        pa.field("rating", pa.float64()),
        pa.field("recommendation_id", pa.string()),
        pa.field("position", pa.int32()),
        pa.field("algorithm", pa.string()),
        pa.field("model_version", pa.string()),
        pa.field("recommendation_score", pa.float64()),
        pa.field("experiments", pa.list_(pa.struct([("experiment", pa.string()), ("variant", pa.string())]))),
        pa.field("metadata", pa.map_(pa.string(), pa.string())),
    ],
    metadata={"feed.schema_version": str(SCHEMA_VERSION)},
)

_DICTIONARIES: Final = ("user_id", "video_id", "interaction_type")
_READ: Final = (*_DICTIONARIES, "watch_time_s", "event_time", "rating")


class ExportError(Exception):
    """The export on disk is missing, of another schema or not what its manifest says: export again."""


class DayFile(msgspec.Struct, frozen=True):
    """One exported day.

    Args:
        rows: Rows in the file, repeats taken out.
        source_rows: Interactions of the day in the database.
        newest_row: Highest row number among them.
        bytes: Size of the file.
        sha256: Hash of the file, hexadecimal.
    """

    rows: int
    source_rows: int
    newest_row: int
    bytes: int
    sha256: str


class ExportManifest(msgspec.Struct, frozen=True):
    """What an export holds: its schema's version, and its files by day (YYYY-MM-DD)."""

    schema_version: int
    days: dict[str, DayFile]


class ParquetExport:
    """The export in a folder.

    Args:
        folder: Holds `dt=YYYY-MM-DD/interactions.parquet` and the manifest.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def manifest(self) -> ExportManifest:
        """Returns what is exported; an unreadable or older export counts as nothing."""
        empty = ExportManifest(SCHEMA_VERSION, {})
        try:
            found = msgspec.json.decode((self._folder / MANIFEST_FILE).read_bytes(), type=ExportManifest)
        except (OSError, msgspec.DecodeError):
            return empty
        return found if found.schema_version == SCHEMA_VERSION else empty

    def is_current(self, count: DayCount) -> bool:
        """Tells whether a day is exported as the database has it."""
        known = self.manifest().days.get(count.day.isoformat())
        return (
            known is not None
            and (known.source_rows, known.newest_row) == (count.rows, count.newest_row)
            and self._path(count.day.isoformat()).is_file()
        )

    def write_day(self, count: DayCount, rows: Sequence[InteractionRow]) -> None:
        """Writes one day: it appears whole, and the same rows give the same bytes."""
        day = count.day.isoformat()
        path = self._path(day)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        pq.write_table(_table(rows), temporary, compression="zstd", use_dictionary=list(_DICTIONARIES))
        content = temporary.read_bytes()
        temporary.replace(path)
        file = DayFile(len(rows), count.rows, count.newest_row, len(content), hashlib.sha256(content).hexdigest())
        self._write_manifest({**self.manifest().days, day: file})

    def keep_only(self, days: Sequence[str]) -> None:
        """Removes the days that the database no longer has."""
        for gone in set(self.manifest().days) - set(days):
            shutil.rmtree(self._path(gone).parent, ignore_errors=True)
        self._write_manifest({day: file for day, file in self.manifest().days.items() if day in set(days)})

    def read(self) -> InteractionLog:
        """Reads the whole export.

        Raises:
            ExportError: When there is none, or a file is not what the manifest says.
        """
        days = self.manifest().days
        if not days:
            raise ExportError(f"no export in {self._folder.name}: there are no interactions")
        return _log(pa.concat_tables([self._read_day(day, file) for day, file in sorted(days.items())]))

    def _read_day(self, day: str, file: DayFile) -> Any:
        try:
            content = self._path(day).read_bytes()
        except OSError as error:
            raise ExportError(f"{day}: {error.strerror}") from error
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise ExportError(f"{day}: the file is not the one that was exported")
        return pq.read_table(pa.BufferReader(content), columns=list(_READ), read_dictionary=list(_DICTIONARIES))

    def _path(self, day: str) -> Path:
        return self._folder / f"dt={day}" / "interactions.parquet"

    def _write_manifest(self, days: dict[str, DayFile]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        content = msgspec.json.format(msgspec.json.encode(ExportManifest(SCHEMA_VERSION, dict(sorted(days.items())))))
        temporary = self._folder / f".{MANIFEST_FILE}.{os.getpid()}"
        temporary.write_bytes(content)
        temporary.replace(self._folder / MANIFEST_FILE)


def _table(rows: Sequence[InteractionRow]) -> Any:
    columns = list(zip(*rows, strict=True)) or [()] * len(SCHEMA)
    return pa.Table.from_arrays(
        [_array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
    )


def _array(column: Sequence[Any], type_: Any) -> Any:
    """Makes a column; a map is handed over as sorted pairs of texts, so that the same rows give the same bytes.

    What was imported may hold numbers where clients can only tell texts.
    """
    if pa.types.is_map(type_):
        column = [
            None if value is None else sorted((key, str(each)) for key, each in value.items()) for value in column
        ]
    return pa.array(column, type_)


def _log(table: Any) -> InteractionLog:
    user_ids, user = _codes(table.column("user_id"))
    video_ids, video = _codes(table.column("video_id"))
    kinds, kind = _codes(table.column("interaction_type"))
    unknown = {name.decode() for name in kinds} - set(Kind.__members__)
    if unknown:
        raise ExportError(f"unknown interaction types {sorted(unknown)}")
    by_name = np.array([Kind[name.decode()] for name in kinds], np.int8)
    rating = pc.fill_null(table.column("rating"), float("nan"))
    return InteractionLog(
        user_ids,
        video_ids,
        user,
        video,
        by_name[kind],
        table.column("watch_time_s").to_numpy().astype(np.float32),
        rating.to_numpy().astype(np.float32),
        table.column("event_time").cast(pa.int64()).to_numpy() / 1000.0,
    )


def _codes(column: Any) -> tuple[Any, Any]:
    """Returns the sorted text table of a dictionary column, and the row of each value."""
    whole = column.unify_dictionaries().combine_chunks()
    texts = np.array([text.encode() for text in whole.dictionary.to_pylist()], dtype=np.bytes_)
    table, place = np.unique(texts, return_inverse=True)
    return table, place.astype(np.int32)[whole.indices.to_numpy()]
