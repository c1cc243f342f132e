"""The log in columns in memory, and DuckDB over them: the one place that imports it."""

from dataclasses import dataclass, replace
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from ibis.expr import types as ir

from runtime.models.model_bundle import Codes, Floats, Texts
from trainer.adapters.prepared import lengths, pairs_of, views_of
from trainer.domain import preparation
from trainer.domain.log import DailyCounts, Pairs, Recent, Sums, Times, daily_counts
from trainer.domain.signal import SignalRules


@dataclass(frozen=True, slots=True, eq=False)
class DuckDbLog:
    """An InteractionLog in columns of one length.

    Args:
        user_ids: Sorted text table.
        video_ids: Sorted text table.
        user: int32 row of `user_ids`.
        video: int32 row of `video_ids`.
        kind: int8 Kind.
        watch_time_s: float32 seconds watched.
        rating: float32 rating 0 to 10, NaN where there is none.
        time_s: float64 epoch seconds.
    """

    user_ids: Texts
    video_ids: Texts
    user: Codes
    video: Codes
    kind: npt.NDArray[np.int8]
    watch_time_s: Floats
    rating: Floats
    time_s: Times

    @property
    def first_s(self) -> float:
        """Epoch seconds of the oldest interaction; there is one."""
        return float(self.time_s.min())

    @property
    def last_s(self) -> float:
        """Epoch seconds of the newest interaction; there is one."""
        return float(self.time_s.max())

    def __len__(self) -> int:
        """Returns the number of interactions."""
        return len(self.user)

    def daily(self) -> DailyCounts:
        """Counts the interactions of each day; there is at least one."""
        return daily_counts(self.time_s)

    def before(self, at_s: float) -> "DuckDbLog":
        """Returns the interactions before a time, epoch seconds."""
        return self.rows(self.time_s < at_s)

    def since(self, at_s: float) -> "DuckDbLog":
        """Returns the interactions from a time on, epoch seconds."""
        return self.rows(self.time_s >= at_s)

    def rows(self, chosen: npt.NDArray[np.bool_]) -> "DuckDbLog":
        """Returns the chosen interactions."""
        return DuckDbLog(
            self.user_ids,
            self.video_ids,
            self.user[chosen],
            self.video[chosen],
            self.kind[chosen],
            self.watch_time_s[chosen],
            self.rating[chosen],
            self.time_s[chosen],
        )

    def with_videos(self, video_ids: Texts) -> "DuckDbLog":
        """Returns the same interactions with a video table that holds at least the videos of its own."""
        rows = np.searchsorted(video_ids, self.video_ids).astype(np.int32)
        return replace(self, video_ids=video_ids, video=rows[self.video])

    def pairs(self, duration_s: Floats, rules: SignalRules, now_s: float) -> Pairs:
        """Returns what each user and video that met had with each other; see `InteractionLog`."""
        answer = self._answer(preparation.pairs(preparation.LOG, rules, now_s), duration_s)
        return pairs_of(answer, len(self.video_ids))

    def recent_views(self, duration_s: Floats, rules: SignalRules, recent: Recent, now_s: float) -> Sums:
        """Returns the long views of late of each video; see `InteractionLog`."""
        answer = self._answer(preparation.recent_views(preparation.LOG, rules, recent, now_s), duration_s)
        return views_of(answer, len(self.video_ids))

    def _answer(self, asked: ir.Table, duration_s: Floats) -> Any:
        # One thread adds up in one order, so that the same log gives the same model to the byte.
        with duckdb.connect(config={"threads": 1}) as connection:
            connection.register(preparation.LOG.get_name(), self._table())
            connection.register(preparation.VIDEOS.get_name(), lengths(duration_s))
            return connection.sql(preparation.sql_of(asked, "duckdb")).to_arrow_table()

    def _table(self) -> Any:
        """Returns LOG in Arrow; nothing but the ratings is copied."""
        return pa.table(
            {
                "user": self.user,
                "video": self.video,
                "kind": self.kind,
                "watch_time_s": self.watch_time_s,
                "rating": pa.array(self.rating, from_pandas=True),  # NaN is above all numbers to engines, null is not
                "time_s": self.time_s,
            }
        )
