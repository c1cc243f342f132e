"""Imports the KuaiRand data set: users, videos, exposures with feedback, and the history before them."""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from interactions.bulk import kuairand_rows as rows_of
from interactions.bulk import loader, trending
from interactions.bulk.csv_source import BadRowError, CsvFile, SourceError
from interactions.bulk.report import Summary
from interactions.bulk.rows import Row
from storage.database import reading

FILES: Final = {
    "video_features_basic_pure.csv.gz": rows_of.VIDEO_FILE_COLUMNS,
    "user_features_pure.csv.gz": rows_of.USER_FILE_COLUMNS,
    "history_users.csv.gz": rows_of.HISTORY_USER_COLUMNS,
    "events.csv.gz": rows_of.EVENT_COLUMNS,
    "history.csv.gz": rows_of.HISTORY_COLUMNS,
}
# One transaction: long enough to be fast, short enough that another writer's wait for SQLite's lock is a second or two.
LINES_AT_A_TIME: Final = 50_000

# Told after each step: the file's name, how much of it is done and its size, both in bytes.
OnProgress = Callable[[str, int, int], None]
RowMapper = Callable[[Sequence[str]], list[Row]]


def import_directory(
    directory: Path,
    engine: sa.Engine,
    now: datetime,
    on_progress: OnProgress,
    lines_at_a_time: int = LINES_AT_A_TIME,
) -> Summary:
    """Imports a folder of KuaiRand files; a run that was killed goes on where it stopped.

    Each chunk of lines is one transaction together with the place where the next one starts, and the event ids follow
    from the rows' content: nothing is lost and nothing is there twice, whenever a run ends.

    Args:
        directory: Holds the files named in `FILES`.
        engine: The database, migrated.
        now: Time of the import.
        on_progress: Told how far it is.
        lines_at_a_time: Lines a transaction.

    Raises:
        SourceError: A file is missing, unreadable or lacks a column.
    """
    started = time.monotonic()
    files = _open(directory)
    loader.widen_cache(engine)
    summary = Summary(f"KuaiRand from {directory}")
    _Import(files, engine, now, on_progress, summary, lines_at_a_time).run()
    summary.elapsed_s = time.monotonic() - started
    return summary


def _open(directory: Path) -> dict[str, CsvFile]:
    missing = [name for name in FILES if not (directory / name).is_file()]
    if missing:
        raise SourceError(f"{directory} is no KuaiRand folder: {', '.join(missing)} not found there")
    return {name: CsvFile(directory / name, columns) for name, columns in FILES.items()}


class _Import:
    def __init__(
        self,
        files: dict[str, CsvFile],
        engine: sa.Engine,
        now: datetime,
        on_progress: OnProgress,
        summary: Summary,
        lines_at_a_time: int,
    ) -> None:
        self._files = files
        self._engine = engine
        self._now = now
        self._on_progress = on_progress
        self._summary = summary
        self._lines_at_a_time = lines_at_a_time
        # Of the content: another cut of the data set has progress of its own.
        self._sources = {name: f"kuairand {file.digest()}" for name, file in files.items()}

    def run(self) -> None:
        if self._all_finished():
            self._summary.already_done = True
            return
        durations_s = self._load_videos()
        known_users = self._load_users()
        self._load_events(known_users, durations_s)
        self._load_history(known_users, durations_s)
        self._finish()

    def _all_finished(self) -> bool:
        with reading(self._engine) as connection:
            return all(loader.is_finished(connection, self._sources[name], name) for name in FILES)

    def _load_videos(self) -> dict[str, float | None]:
        file = self._files["video_features_basic_pure.csv.gz"]
        rows = self._catalogue(file, lambda row: [rows_of.video_row(file, row)])
        self._insert(loader.VIDEOS, rows)
        return dict(map(rows_of.video_duration, rows))

    def _load_users(self) -> set[str]:
        file = self._files["user_features_pure.csv.gz"]
        rows = self._catalogue(file, lambda row: [rows_of.user_row(file, row)])
        self._insert(loader.USERS, rows)
        return {str(row[0]) for row in rows}

    def _load_events(self, known_users: set[str], durations_s: dict[str, float | None]) -> None:
        file = self._files["events.csv.gz"]
        self._load_log(file, rows_of.EventRows(file, known_users, durations_s, self._now))

    def _load_history(self, known_users: set[str], durations_s: dict[str, float | None]) -> None:
        times, file = self._files["history_users.csv.gz"], self._files["history.csv.gz"]
        rows = self._catalogue(times, lambda row: [rows_of.history_time(times, row, known_users)])
        last_times_ms = {str(user_id): int(str(time_ms)) for user_id, time_ms in rows}
        long_views = rows_of.long_view_pairs(file)
        self._load_log(file, rows_of.HistoryRows(file, last_times_ms, durations_s, long_views, self._now))

    def _catalogue(self, file: CsvFile, mapper: RowMapper) -> list[Row]:
        rows = [row for _, mapped in self._mapped(file, mapper) for row in mapped]
        self._on_progress(file.name, file.size_bytes, file.size_bytes)
        return rows

    def _insert(self, target: loader.Target, rows: Sequence[Row]) -> None:
        with self._engine.begin() as connection:
            written = loader.insert_rows(connection, target, rows)
        self._summary.add(target.table.name, len(rows), written)

    def _load_log(self, file: CsvFile, mapper: RowMapper) -> None:
        source = self._sources[file.name]
        with reading(self._engine) as connection:
            next_line = loader.next_line(connection, source, file.name)
        lines = self._mapped(file, mapper, next_line)
        while chunk := list(islice(lines, self._lines_at_a_time)):
            next_line = chunk[-1][0] + 1
            rows = [row for _, mapped in chunk for row in mapped]
            with self._engine.begin() as connection:
                kept = loader.without_withheld(connection, rows)
                written = loader.insert_rows(connection, loader.INTERACTIONS, kept)
                loader.save_progress(connection, source, file.name, next_line, finished=False)
            self._summary.add(loader.INTERACTIONS.table.name, len(kept), written)
            self._summary.withheld += len(rows) - len(kept)
            self._on_progress(file.name, file.read_bytes, file.size_bytes)

    def _mapped(self, file: CsvFile, mapper: RowMapper, first_line: int = 2) -> Iterator[tuple[int, list[Row]]]:
        """Yields each good line with its rows; the others are counted."""
        for line, values in file.rows(self._summary.bad, first_line):
            try:
                yield line, mapper(values)
            except BadRowError as error:
                self._summary.bad.add(file.name, line, str(error))

    def _finish(self) -> None:
        """Makes the buckets and marks all files finished, together: a run killed before it does both in the next."""
        with self._engine.begin() as connection:
            buckets = trending.rebuild(connection)
            for name, source in self._sources.items():
                loader.save_progress(
                    connection, source, name, loader.next_line(connection, source, name), finished=True
                )
        self._summary.add("trending", buckets, buckets)
