"""The exported files as the log that a fit reads."""

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from runtime.models.model_bundle import Codes, Texts
from trainer.adapters.log_duckdb import DuckDbLog
from trainer.adapters.parquet_files import DICTIONARIES, ExportError
from trainer.domain.signal import Kind

_READ: Final = (*DICTIONARIES, "watch_time_s", "event_time", "rating")
_ROWS_AT_A_TIME: Final = 1_000_000


class LogReader:
    """Puts a log together file by file: 25 bytes a row, the distinct ids, and one file at a time.

    Args:
        rows: Rows of all files.
    """

    def __init__(self, rows: int) -> None:
        self._filled = 0
        self._user = _Ids(rows)
        self._video = _Ids(rows)
        self._kind = np.empty(rows, np.int8)
        self._watch_time_s = np.empty(rows, np.float32)
        self._rating = np.empty(rows, np.float32)
        self._time_s = np.empty(rows, np.float64)

    def add(self, content: bytes) -> None:
        """Takes in a file.

        Raises:
            ExportError: When an interaction type is not one of the contract's.
        """
        file = pq.ParquetFile(pa.BufferReader(content), read_dictionary=list(DICTIONARIES))
        table = file.read(columns=list(_READ))
        place = slice(self._filled, self._filled + table.num_rows)
        self._filled = place.stop
        self._user.put(place, table.column("user_id"))
        self._video.put(place, table.column("video_id"))
        kinds, kind = _dictionary(table.column("interaction_type"))
        if unknown := set(kinds) - set(Kind.__members__):
            raise ExportError(f"unknown interaction types {sorted(unknown)}")
        self._kind[place] = np.array([Kind[name] for name in kinds], np.int8)[kind]
        self._watch_time_s[place] = table.column("watch_time_s").to_numpy()
        self._rating[place] = pc.fill_null(table.column("rating"), float("nan")).to_numpy()
        self._time_s[place] = table.column("event_time").cast(pa.int64()).to_numpy() / 1000.0

    def log(self) -> DuckDbLog:
        """Returns the log, once every file is in."""
        user_ids, user = self._user.by_text()
        video_ids, video = self._video.by_text()
        return DuckDbLog(user_ids, video_ids, user, video, self._kind, self._watch_time_s, self._rating, self._time_s)


class _Ids:
    """A column of ids, as numbers in the order in which they were met."""

    def __init__(self, rows: int) -> None:
        self._known: dict[str, int] = {}
        self._number = np.empty(rows, np.int32)

    def put(self, place: slice, column: Any) -> None:
        ids, row = _dictionary(column)
        numbers = [self._known.setdefault(text, len(self._known)) for text in ids]
        self._number[place] = np.array(numbers, np.int32)[row]

    def by_text(self) -> tuple[Texts, Codes]:
        """Returns the sorted text table, and the row of each value; to be asked once."""
        texts = np.array([text.encode() for text in self._known], dtype=np.bytes_)
        table, row = np.unique(texts, return_inverse=True)
        # In place and piece by piece: a copy would be 4 more bytes for each row of the log.
        for start in range(0, len(self._number), _ROWS_AT_A_TIME):
            part = self._number[start : start + _ROWS_AT_A_TIME]
            part[:] = row[part]
        return table, self._number


def _dictionary(column: Any) -> tuple[list[str], Any]:
    """Returns the distinct texts of a dictionary column, and which of them each value is."""
    whole = column.unify_dictionaries().combine_chunks()
    return whole.dictionary.to_pylist(), whole.indices.to_numpy()
