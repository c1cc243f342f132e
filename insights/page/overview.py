"""The first page: is the feed well?"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final, Protocol

from starlette.requests import Request

from insights.domain.wellness import Books, Process, State, figures_of, judge
from insights.page.charts import COLOURS, Chart, Kind, Series, Unit
from insights.page.views import Door, Entry, View
from insights.ports import Answers, Freshness, LedgerState, LedgerUnavailableError, Pulse

_SHOWN_DAYS: Final = 30
_MOODS: Final = {State.WELL: "good", State.DEGRADED: "warn", State.DOWN: "bad"}
_OTHERS: Final = "others"


class Watching(Protocol):
    """Knows what processes told last."""

    def processes(self) -> Sequence[Process] | None:
        """Returns what was told over the last minute; None: nobody was asked yet."""


class OverviewPage:
    """How the feed is, of everything the most important.

    It is there without the database too: that is when somebody looks at it.

    Args:
        watching: What processes tell.
        answers: What the ledger says.
        pulse: What else the database says.
        ledger_age_s: Since everything was on the ledger, in seconds.
        now: The wall time.
    """

    entry = Entry("/", "Overview")

    def __init__(
        self,
        watching: Watching,
        answers: Answers,
        pulse: Pulse,
        ledger_age_s: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self._watching = watching
        self._answers = answers
        self._pulse = pulse
        self._ledger_age_s = ledger_age_s
        self._now = now
        self.doors: Sequence[Door] = (Door("/", self._show),)

    async def _show(self, _request: Request) -> View:
        state, freshness, chart = await self._from_database()
        processes = self._watching.processes()
        figures = figures_of(processes or ())
        books = None if state is None else Books(state.balance, self._ledger_age_s())
        verdict = judge(figures, books) if processes is not None else None
        values = {
            "verdict": verdict,
            "mood": _MOODS[verdict.state] if verdict else "plain",
            "figures": figures,
            "processes": processes or (),
            "state": state,
            "freshness": freshness,
            "ledger_age_s": self._ledger_age_s(),
            "chart": chart,
            "now": self._now(),
        }
        return View("overview.html", values)

    async def _from_database(self) -> tuple[LedgerState | None, Freshness | None, Chart | None]:
        today = self._now().astimezone(UTC).date()
        try:
            state, freshness = await self._answers.state(), await self._pulse.freshness()
            served = await self._pulse.served_by_source(today - timedelta(days=_SHOWN_DAYS - 1))
        except LedgerUnavailableError:
            return None, None, None
        return state, freshness, sources_chart(served)


def sources_chart(served: Mapping[tuple[date, str], int]) -> Chart:
    """Returns which share of the served videos came from which source, day by day."""
    days = _days(served)
    of_day = {day: sum(count for (each, _), count in served.items() if each == day) for day in days}
    totals: dict[str, int] = {}
    for (_, source), count in served.items():
        totals[source] = totals.get(source, 0) + count
    ranked = sorted(totals, key=lambda source: (-totals[source], source))
    shown, rest = ranked[: COLOURS - 1], ranked[COLOURS - 1 :]
    groups = {source: [source] for source in shown} | ({_OTHERS: rest} if rest else {})
    series = [
        Series(name, [_share(sum(served.get((day, each), 0) for each in sources), of_day[day]) for day in days])
        for name, sources in groups.items()
    ]
    return Chart("Share of served videos by source", "Day", days, series, Unit.SHARE, Kind.STACKED)


def _days(served: Mapping[tuple[date, str], int]) -> list[date]:
    """Returns all days from the first to the last, those on which nothing was served too."""
    if not served:
        return []
    first, last = min(day for day, _ in served), max(day for day, _ in served)
    return [first + timedelta(days=nth) for nth in range((last - first).days + 1)]


def _share(count: int, of: int) -> float | None:
    return count / of if of else None
