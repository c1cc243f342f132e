"""The log where Spark holds it: neither its rows nor the work on them are on this machine."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
from ibis.expr import types as ir

from runtime.models.model_bundle import Floats, Texts
from trainer.adapters.prepared import lengths, pairs_of, views_of
from trainer.adapters.spark import fetched, sent
from trainer.domain import preparation
from trainer.domain.log import DailyCounts, Pairs, Recent, Sums
from trainer.domain.signal import SignalRules

# Ibis knows how it writes SQL for a backend once that has been asked for.
_ = ibis.pyspark


@dataclass(frozen=True, eq=False)
class SparkLog:
    """An InteractionLog in the files of an export; made by `spark_log`.

    Args:
        session: Spark's.
        user_ids: Sorted text table.
        video_ids: Sorted text table.
        rows: A DataFrame in the columns of LOG.
        since_s: Interactions from before are not in it, epoch seconds.
        until_s: Nor are those from then on.
    """

    session: Any
    user_ids: Texts
    video_ids: Texts
    rows: Any
    since_s: float = -np.inf
    until_s: float = np.inf

    @property
    def first_s(self) -> float:
        """Epoch seconds of the oldest interaction; there is one."""
        return float(self._extent["first_s"])

    @property
    def last_s(self) -> float:
        """Epoch seconds of the newest interaction; there is one."""
        return float(self._extent["last_s"])

    def __len__(self) -> int:
        """Returns the number of interactions."""
        return int(self._extent["interactions"])

    def daily(self) -> DailyCounts:
        """Counts the interactions of each day; there is at least one."""
        found = self._answer(preparation.per_day(self._log))
        day = found.column("day").to_numpy()
        counts = np.zeros(day.max() - day.min() + 1, np.int64)
        counts[day - day.min()] = found.column("interactions").to_numpy()
        return DailyCounts(int(day.min()), counts)

    def before(self, at_s: float) -> "SparkLog":
        """Returns the interactions before a time, epoch seconds."""
        until_s = min(at_s, self.until_s)
        return SparkLog(self.session, self.user_ids, self.video_ids, self.rows, self.since_s, until_s)

    def since(self, at_s: float) -> "SparkLog":
        """Returns the interactions from a time on, epoch seconds."""
        since_s = max(at_s, self.since_s)
        return SparkLog(self.session, self.user_ids, self.video_ids, self.rows, since_s, self.until_s)

    def with_videos(self, video_ids: Texts) -> "SparkLog":
        """Returns the same interactions with a video table that holds at least the videos of its own."""
        rows = _coded(self.session, self.user_ids, video_ids)
        return SparkLog(self.session, self.user_ids, video_ids, rows, self.since_s, self.until_s)

    def pairs(self, duration_s: Floats, rules: SignalRules, now_s: float) -> Pairs:
        """Returns what each user and video that met had with each other; see `InteractionLog`."""
        answer = self._answer(preparation.pairs(self._log, rules, now_s), duration_s)
        return pairs_of(answer, len(self.video_ids))

    def recent_views(self, duration_s: Floats, rules: SignalRules, recent: Recent, now_s: float) -> Sums:
        """Returns the long views of late of each video; see `InteractionLog`."""
        answer = self._answer(preparation.recent_views(self._log, rules, recent, now_s), duration_s)
        return views_of(answer, len(self.video_ids))

    @cached_property
    def _extent(self) -> Any:
        (found,) = self._answer(preparation.extent(self._log)).to_pylist()
        return found

    @property
    def _log(self) -> ir.Table:
        return preparation.within(preparation.LOG, self.since_s, self.until_s)

    def _answer(self, asked: ir.Table, duration_s: Floats | None = None) -> Any:
        self.rows.createOrReplaceTempView(preparation.LOG.get_name())
        if duration_s is not None:
            _provide(self.session, preparation.VIDEOS, lengths(duration_s))
        return fetched(self.session.sql(preparation.sql_of(asked, "pyspark")))


def spark_log(session: Any, paths: list[str]) -> SparkLog:
    """Opens the log in the files of an export, which every machine of the cluster finds under these paths."""
    export = session.read.parquet(*paths)
    export.createOrReplaceTempView(preparation.EXPORT.get_name())
    user_ids, video_ids = (_texts(export, name) for name in ("user_id", "video_id"))
    return SparkLog(session, user_ids, video_ids, _coded(session, user_ids, video_ids))


def _texts(export: Any, name: str) -> Texts:
    distinct = fetched(export.select(name).distinct()).column(name).to_pylist()
    return np.unique(np.array([text.encode() for text in distinct], dtype=np.bytes_))


def _coded(session: Any, user_ids: Texts, video_ids: Texts) -> Any:
    """Numbers the ids of every row once; what several answers need stays where Spark has place for it."""
    for table, ids in ((preparation.USER_IDS, user_ids), (preparation.VIDEO_IDS, video_ids)):
        text, number = table.columns
        texts = [each.decode() for each in ids.tolist()]
        _provide(session, table, pa.table({text: texts, number: np.arange(len(ids), dtype=np.int32)}))
    return session.sql(preparation.sql_of(preparation.coded(), "pyspark")).persist()


def _provide(session: Any, table: ir.Table, content: Any) -> None:
    sent(session, content).createOrReplaceTempView(table.get_name())
