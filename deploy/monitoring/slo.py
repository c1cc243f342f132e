"""What is promised, and alerts on how fast the error budget burns.

Source: The Site Reliability Workbook, chapter 5: a long window says that it matters, a short one that it still goes on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from deploy.monitoring.rules import Alert, Group, Recorded, Severity

# A page is late after this, seconds; a bound of the histogram's buckets.
PROMISE_S: Final = 0.15

# A month's budget lasts for 2 days at 14.4 times the rate that just uses it up, for 5 days at 6 times.
_PAGE_BURNS: Final = (("1h", "5m", 14.4), ("6h", "30m", 6.0))
_TICKET_BURNS: Final = (("3d", "6h", 1.0),)
_WINDOWS: Final = ("5m", "30m", "1h", "6h", "3d")


@dataclass(frozen=True, slots=True)
class Objective:
    """Something that is promised of a share of all pages.

    Args:
        alert: Name of its alerts.
        series: First part of the names of its recorded series: the share of bad pages.
        budget: Share of pages that may be bad.
        bad: Returns the share of bad pages over a window, in PromQL.
        summary: What burns.
        description: What is promised.
    """

    alert: str
    series: str
    budget: float
    bad: Callable[[str], str]
    summary: str
    description: str

    def over(self, window: str) -> str:
        """Returns the name of the series of a window."""
        return f"{self.series}:ratio_rate{window}"

    def rules(self) -> tuple[Alert | Recorded, ...]:
        """Returns its recorded series and its alerts."""
        recorded = (Recorded(self.over(window), self.bad(window)) for window in _WINDOWS)
        return (*recorded, self._alert(Severity.PAGE, _PAGE_BURNS), self._alert(Severity.TICKET, _TICKET_BURNS))

    def _alert(self, severity: Severity, burns: tuple[tuple[str, str, float], ...]) -> Alert:
        pairs = (
            f"({self.over(window)} > {self._bound(times)} and {self.over(short)} > {self._bound(times)})"
            for window, short, times in burns
        )
        return Alert(self.alert, " or ".join(pairs), severity, self.summary, self.description)

    def _bound(self, times: float) -> str:
        return f"{times * self.budget:.6g}"


def _late(window: str) -> str:
    """Pages that were refused are late for ever."""
    in_time = f'sum(rate(feed_bridge_request_duration_seconds_bucket{{le="{PROMISE_S}"}}[{window}]))'
    served = f"sum(rate(feed_bridge_request_duration_seconds_count[{window}]))"
    refused = f'sum(rate(feed_bridge_shed_total{{tier="refused"}}[{window}]))'
    return f"1 - {in_time} / ({served} + {refused})"


def _impersonal(window: str) -> str:
    """Trending as a variant of an experiment is no fallback."""
    fallen_back = f'sum(rate(feed_bridge_requests_total{{fallback_reason!="NONE"}}[{window}]))'
    return f"{fallen_back} / sum(rate(feed_bridge_requests_total[{window}]))"


LATENCY: Final = Objective(
    "FeedLatencyBudgetBurns",
    "feed:late_pages",
    0.001,
    _late,
    "{{ $value | humanizePercentage }} of the pages are late or refused.",
    "99.9 % of all pages are to be there within 150 ms; at this rate the month's budget will not last.",
)
PERSONAL: Final = Objective(
    "FeedPersonalBudgetBurns",
    "feed:impersonal_pages",
    0.05,
    _impersonal,
    "{{ $value | humanizePercentage }} of the pages are not personal, but should be.",
    "95 % of all pages are to be personal; at this rate the month's budget will not last.",
)

GROUP: Final = Group("slo", (*LATENCY.rules(), *PERSONAL.rules()))
