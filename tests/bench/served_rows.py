"""Ten million served videos themselves, with what became of each: what answers about one user, video or page read."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from io import BytesIO
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.schema import AddConstraint, CreateIndex, DropConstraint, DropIndex

from storage.tables import prediction_outcomes, recommendation_decisions, users, videos

USERS: Final = 100_000
VIDEOS: Final = 100_000
TAGS: Final = 200
AUTHORS: Final = 5_000
# The most popular video is on a fifth of all pages, the most diligent user has a page in 300.
_POPULARITY: Final = 2.5
_DILIGENCE: Final = 2.0
_LANGUAGES: Final = ("en", "en", "en", "de", "fr")
_COUNTRIES: Final = ("DE", "FR", "AT")
_PARTS: Final = '{"user_item": 0.613, "item_bias": 0.118, "prior": 0.207, "fold_in": 0.031}'
_ACCEPTED: Final = ("consumed", "watched", "liked", "added", "shared", "rated")
_STATUSES: Final = {"pending": None, "ignored": "ignored", "hidden": "rejected", "blacklisted": "rejected"}
_BITS: Final = {"ignored": 0, "pending": 0, "consumed": 2, "watched": 6, "liked": 10, "added": 18}
# SQLite's cache while it is filled, in KiB: keys of pages are drawn, and would be read back all the time.
_CACHE_KIB: Final = 2_000_000

Whole = NDArray[np.int64]


class Rows:
    """Writes what was served on one day after the other, and who was served what.

    Args:
        connection: An open transaction; indexes that it dropped are made again by `finish`.
        now: Nothing is served later.
    """

    def __init__(self, connection: sa.Connection, now: datetime) -> None:
        self._connection = connection
        self._now = now
        self._lot = np.random.default_rng(9)
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql(f"PRAGMA cache_size = -{_CACHE_KIB}")
        for table in (recommendation_decisions, prediction_outcomes):
            for index in table.indexes:
                connection.execute(DropIndex(index))
            if connection.dialect.name == "postgresql":
                connection.execute(DropConstraint(table.primary_key))

    def catalogue(self) -> None:
        """Writes users and videos."""
        whose: list[dict[str, object]] = [
            {"user_id": f"u{number}", "features": {}, "personalised": True, "country": _COUNTRIES[number % 3]}
            for number in range(USERS)
        ]
        which = [
            {
                "video_id": f"v{number}",
                "title": f"Video {number}",
                "author_id": f"a{number % AUTHORS}",
                "duration_s": 15.0,
                "tags": ["rare"] * (number % 1_000 == 0)
                + sorted({f"t{int(TAGS * share**3)}" for share in self._lot.random(3)}),
                "language": _LANGUAGES[number % len(_LANGUAGES)],
                "is_active": True,
            }
            for number in range(VIDEOS)
        ]
        self._connection.execute(sa.insert(users), whose)
        self._connection.execute(sa.insert(videos), which)

    def day(self, day: date, pages: Mapping[str, Sequence[Any]], first: Whole, ends: Sequence[str]) -> None:
        """Writes the videos of a day.

        Args:
            day: The day.
            pages: What holds for a page, by column of `recommendation_decisions`.
            first: The position of the first video of each page.
            ends: The outcome of each video, page after page.
        """
        each = len(ends) // len(first)
        place = np.tile(np.arange(each), len(first))
        of_page = pa.array(np.repeat(np.arange(len(first)), each))
        drawn = self._lot.bytes(16 * len(first))
        ids = [str(uuid.UUID(bytes=drawn[begin : begin + 16])) for begin in range(0, len(drawn), 16)]
        begin = datetime.combine(day, time.min, UTC)
        seconds = min(86_400.0, (self._now - begin).total_seconds())
        times = [self._written(begin, second) for second in np.sort(self._lot.random(len(first))) * seconds]
        who = (USERS * self._lot.random(len(first)) ** _DILIGENCE).astype(int).tolist()
        what = (VIDEOS * self._lot.random(len(ends)) ** _POPULARITY).astype(int).tolist()
        position = pa.array(np.repeat(first, each) + place)
        taken = {name: pa.array(values).take(of_page) for name, values in pages.items()}
        page_ids, created = pa.array(ids).take(of_page), pa.array(times).take(of_page)
        size = len(ends)
        self._write(
            recommendation_decisions,
            {
                "recommendation_id": page_ids,
                "position": position,
                "user_id": pa.array([f"u{number}" for number in who]).take(of_page),
                "video_id": pa.array([f"v{number}" for number in what]),
                "media_type": _same("video", size),
                "final_score": pa.array(np.round(self._lot.random(size), 6)),
                "score_components": _same(_PARTS, size),
                "feed_session_id": page_ids,
                **taken,
                "created_at": created,
            },
        )
        statuses = [_STATUSES.get(end, "accepted") for end in ends]
        confidence = np.round(1.0 - place / each, 6)
        self._write(
            prediction_outcomes,
            {
                "recommendation_id": page_ids,
                "position": position,
                "group_id": _same(1, size),
                "user_action": pa.array(ends),
                "status_after": pa.array(statuses),
                "actions": pa.array([_BITS.get(end, 2) for end in ends]),
                "watch_time_s": pa.array([9.137 if end in _ACCEPTED else 0.0 for end in ends]),
                "confidence": pa.array(confidence),
                "was_successful": pa.array([None if end == "pending" else int(end in _ACCEPTED) for end in ends]),
                "confidence_match": pa.array(confidence),
                "created_at": created,
            },
        )

    def finish(self) -> None:
        """Makes what was dropped again."""
        for table in (recommendation_decisions, prediction_outcomes):
            if self._connection.dialect.name == "postgresql":
                self._connection.execute(AddConstraint(table.primary_key))
            for index in table.indexes:
                self._connection.execute(CreateIndex(index))

    def _written(self, begin: datetime, second: float) -> str:
        at = begin + timedelta(seconds=second)
        return at.replace(tzinfo=None).isoformat(" ", "microseconds") + self._zone

    @property
    def _zone(self) -> str:
        return "+00" if self._connection.dialect.name == "postgresql" else ""

    def _write(self, table: sa.Table, columns: Mapping[str, pa.Array]) -> None:
        names = ", ".join(columns)
        driver: Any = self._connection.connection.driver_connection
        if self._connection.dialect.name == "postgresql":
            text = BytesIO()
            options = pyarrow.csv.WriteOptions(include_header=False)
            pyarrow.csv.write_csv(pa.table(dict(columns)), text, options)
            with driver.cursor().copy(f"COPY {table.name} ({names}) FROM STDIN (FORMAT csv)") as copy:
                copy.write(text.getvalue())
        else:
            marks = ", ".join("?" for _ in columns)
            rows = zip(*(column.to_pylist() for column in columns.values()), strict=True)
            driver.executemany(f"INSERT INTO {table.name} ({names}) VALUES ({marks})", rows)


def _same(value: str | int, size: int) -> pa.Array:
    return pa.repeat(value, size)
