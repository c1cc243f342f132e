"""Spans of rankings, by what the service tells of them; used only where traces are on."""

import time

from runtime.tracing import current
from scorer.metrics import RankRecord, ScorerMetrics


class TracedScorerMetrics(ScorerMetrics):
    """The metrics, and a span of each call's rankings."""

    def ranked(self, record: RankRecord) -> None:
        """Takes the rankings of a call."""
        super().ranked(record)
        around = current()
        if around is None:
            return
        end_s = time.perf_counter()
        span = around.child("rank", start_s=end_s - record.elapsed_s)
        span.attributes.update({"feed.users": record.users, "feed.unknown_users": record.unknown_users})
        span.end(end_s)
