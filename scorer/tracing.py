"""Spans of rankings, by what the service tells of them; used only where traces are on."""

import time

from runtime.traces.tracing import current
from scorer.telemetry import RankRecord


class TracedRankings:
    """Makes a span of each call's rankings."""

    def ranked(self, record: RankRecord) -> None:
        """Takes the rankings of a call."""
        around = current()
        if around is None:
            return
        end_s = time.perf_counter()
        span = around.child("rank", start_s=end_s - record.elapsed_s)
        span.attributes.update({"feed.users": record.users, "feed.unknown_users": record.unknown_users})
        span.end(end_s)

    def dropped(self, rankings: int) -> None:
        """Says in the call's span how many rankings nobody waited for."""
        around = current()
        if around is not None:
            around.attributes["feed.dropped_users"] = rankings
