"""Interactions as parquet files: their columns, and how rows become them without being in memory all at once."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from storage.training_data import InteractionRow
from trainer.domain.quality import QualityCounter

# 3: when an interaction was accepted, and rows in the order of user, video and session, in files of a bounded size.
SCHEMA_VERSION: Final = 3

SCHEMA: Final = pa.schema(
    [
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("interaction_type", pa.string(), nullable=False),
        pa.field("watch_time_s", pa.float64(), nullable=False),
        pa.field("event_time", pa.timestamp("ms", tz="UTC"), nullable=False),
        pa.field("ingest_time", pa.timestamp("ms", tz="UTC"), nullable=False),
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

DICTIONARIES: Final = ("user_id", "video_id", "interaction_type")


class ExportError(Exception):
    """The export on disk is missing, of another schema or not what its manifest says: export again."""


@dataclass(frozen=True, slots=True)
class FileShape:
    """How rows are cut, which decides how much memory a writer and a reader need; the same cut gives the same bytes.

    Args:
        chunk_rows: Rows that are Python objects at a time, some 1,200 bytes each.
        group_chunks: Chunks of a row group, which is in memory while it fills, some 200 bytes a row.
        file_groups: Row groups of a file, which the fit reads whole, some 75 bytes a row.
    """

    chunk_rows: int = 16_384
    group_chunks: int = 8
    file_groups: int = 16


USUAL_SHAPE: Final = FileShape()


class DataFile(msgspec.Struct, frozen=True):
    """One file of a day.

    Args:
        name: Its name in the folder of the day.
        rows: Rows in it.
        bytes: Its size.
        sha256: Its hash, hexadecimal.
    """

    name: str
    rows: int
    bytes: int
    sha256: str


def write_files(
    folder: Path, rows: Iterable[InteractionRow], counter: QualityCounter, shape: FileShape
) -> tuple[DataFile, ...]:
    """Writes rows as `part-00000.parquet` and so on; the same rows in the same order give the same bytes.

    Args:
        folder: Where to; it is there and empty.
        rows: What to write, gone through once.
        counter: Counts what is written.
        shape: How it is cut.
    """
    groups = _groups(_chunks(iter(rows), counter, shape.chunk_rows), shape.group_chunks)
    files: list[DataFile] = []
    for first in groups:
        path = folder / f"part-{len(files):05}.parquet"
        written = _write_file(path, chain([first], islice(groups, shape.file_groups - 1)))
        files.append(DataFile(path.name, written, path.stat().st_size, sha256_of(path)))
    return tuple(files)


def sha256_of(path: Path) -> str:
    """Returns the hash of a file, read piece by piece.

    Raises:
        OSError: When there is none, or it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_file(path: Path, groups: Iterable[Any]) -> int:
    rows = 0
    with (
        path.open("wb") as file,
        pq.ParquetWriter(file, SCHEMA, compression="zstd", use_dictionary=list(DICTIONARIES)) as writer,
    ):
        for group in groups:
            writer.write_table(group, row_group_size=group.num_rows)
            rows += group.num_rows
    return rows


def _groups(chunks: Iterator[Any], length: int) -> Iterator[Any]:
    while group := list(islice(chunks, length)):
        yield pa.concat_tables(group)


def _chunks(rows: Iterator[InteractionRow], counter: QualityCounter, length: int) -> Iterator[Any]:
    while chunk := list(islice(rows, length)):
        *columns, is_known_user, is_known_video = zip(*chunk, strict=True)
        table = _table(columns)
        _count(table, counter, is_known_user.count(False), is_known_video.count(False))
        yield table


def _table(columns: Sequence[Sequence[Any]]) -> Any:
    return pa.Table.from_arrays(
        [_array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
    )


def _array(column: Sequence[Any], type_: Any) -> Any:
    """Makes a column; of JSON, each distinct text is read once."""
    if not pa.types.is_nested(type_):
        return pa.array(column, type_)
    texts = pa.array(column, pa.string()).dictionary_encode()
    values = [_value(json.loads(text)) for text in texts.dictionary.to_pylist()]
    return pa.array(values, type_).take(texts.indices)


def _value(decoded: Any) -> Any:
    """Hands a map over as sorted pairs of texts, so that the same rows give the same bytes.

    What was imported may hold numbers where clients can only tell texts.
    """
    if isinstance(decoded, dict):
        return sorted((key, str(each)) for key, each in decoded.items())
    return decoded


def _count(table: Any, counter: QualityCounter, unknown_users: int, unknown_videos: int) -> None:
    ingest, event = (table.column(name).cast(pa.int64()).to_numpy() for name in ("ingest_time", "event_time"))
    kinds = table.column("interaction_type").value_counts()
    counter.add(
        ingest - event,
        dict(zip(kinds.field("values").to_pylist(), kinds.field("counts").to_pylist(), strict=True)),
        {field.name: table.column(field.name).null_count for field in SCHEMA if field.nullable},
        unknown_users,
        unknown_videos,
    )
