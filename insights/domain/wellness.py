"""Is the feed well? Figures out of the metrics of the processes, and one sentence about them; pure."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from insights.domain.scrapes import Window

BRIDGE: Final = "bridge"
_OPEN: Final = 2

# As the alerts have them (docs/metrics.md).
MOST_FALLBACKS: Final = 0.05
MOST_LAG_S: Final = 60.0
MOST_LEDGER_AGE_S: Final = 60.0
MOST_MODEL_AGE_S: Final = 129_600.0
# Of fewer pages no share is one.
_FEWEST_PAGES: Final = 20

_REQUESTS: Final = "feed_bridge_requests_total"
_REQUEST_S: Final = "feed_bridge_request_duration_seconds"
_LATE: Final = "feed_bridge_late_total"
_BREAKER: Final = "feed_bridge_breaker_state"
_PUBLISH_S: Final = "feed_interactions_publish_duration_seconds"
_LAG_S: Final = "feed_sink_lag_seconds"
_MODEL_AGE_S: Final = "feed_scorer_model_age_seconds"
_MODEL: Final = "feed_scorer_model_info"

# Everything that is looked at here; nothing else of an exposition need be kept.
METRICS: Final = (
    _REQUESTS,
    f"{_REQUEST_S}_bucket",
    _LATE,
    _BREAKER,
    f"{_PUBLISH_S}_bucket",
    _LAG_S,
    _MODEL_AGE_S,
    _MODEL,
)


class State(StrEnum):
    """How the feed is."""

    WELL = "well"
    DEGRADED = "degraded"
    DOWN = "down"


class Breaker(StrEnum):
    """State of the breaker before a scorer."""

    CLOSED = "closed"
    HALF_OPEN = "half-open"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Process:
    """A process that is asked for its metrics.

    Args:
        name: What it is, such as `bridge`; several may be the same.
        url: Where its metrics are.
        window: What it told; None: it does not answer.
    """

    name: str
    url: str
    window: Window | None


@dataclass(frozen=True, slots=True)
class Figures:
    """What processes told of the last minute; None where nobody told, or nothing happened.

    Args:
        silent: Processes that do not answer.
        has_bridge: Whether a bridge answers.
        pages: Pages served.
        fallback_share: Which of them were not the model's, 0 to 1.
        late: Pages finished after their deadline.
        answer_p95_s: 95 of 100 pages were finished within this, in seconds.
        publish_p95_s: And so many interactions durable.
        breakers: The worst state of each scorer's breaker.
        lag_s: Age of the oldest record that is not in the database, by topic, in seconds; NaN: nobody knows.
        model_version: The model that serves.
        model_age_s: Since it was trained, in seconds; infinite: there is none.
    """

    silent: Sequence[Process] = ()
    has_bridge: bool = False
    pages: float | None = None
    fallback_share: float | None = None
    late: float | None = None
    answer_p95_s: float | None = None
    publish_p95_s: float | None = None
    breakers: Mapping[str, Breaker] | None = None
    lag_s: Mapping[str, float] | None = None
    model_version: str | None = None
    model_age_s: float | None = None


@dataclass(frozen=True, slots=True)
class Books:
    """What the ledger adds up to; as far as its wellness goes.

    Args:
        balance: Served less all outcomes.
        age_s: Since everything was on it, in seconds.
    """

    balance: int
    age_s: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer.

    Args:
        state: How the feed is.
        reasons: Why it is not well.
    """

    state: State
    reasons: Sequence[str]


def figures_of(processes: Sequence[Process]) -> Figures:
    """Reckons the figures."""
    bridges, ingest = _together(processes, BRIDGE), _together(processes, "interactions")
    sinks, scorers = _together(processes, "sink"), _together(processes, "scorer")
    by_reason = bridges.increase(_REQUESTS, "fallback_reason")
    pages = sum(by_reason.values())
    models = [each.labels["model_version"] for each in scorers.values(_MODEL) if each.value]
    return Figures(
        silent=[each for each in processes if each.window is None],
        has_bridge=bool(bridges.after),
        pages=pages if bridges.after else None,
        fallback_share=1 - by_reason.get("NONE", 0.0) / pages if pages else None,
        late=sum(bridges.increase(_LATE).values()) if bridges.after else None,
        answer_p95_s=bridges.quantile(_REQUEST_S, 0.95),
        publish_p95_s=ingest.quantile(_PUBLISH_S, 0.95),
        breakers=_breakers(bridges) if bridges.after else None,
        lag_s=_lag(sinks) if sinks.after else None,
        model_version=", ".join(sorted(set(models))) or None,
        # The scorer that is furthest behind.
        model_age_s=max((each.value for each in scorers.values(_MODEL_AGE_S)), default=None),
    )


def judge(figures: Figures, books: Books | None) -> Verdict:
    """Says how the feed is.

    Args:
        figures: What processes told.
        books: What the ledger adds up to; None: the database cannot be used.
    """
    if not figures.has_bridge and any(each.name == BRIDGE for each in figures.silent):
        return Verdict(State.DOWN, ["no bridge answers"])
    reasons = [*_of_bridges(figures), *_of_others(figures), *_of_books(books)]
    return Verdict(State.DEGRADED if reasons else State.WELL, reasons)


def _of_bridges(figures: Figures) -> Iterator[str]:
    for each in figures.silent:
        yield f"{each.name} does not answer at {each.url}"
    if figures.late:
        yield f"late answers in the last minute: {figures.late:,.0f}"
    if (figures.pages or 0) >= _FEWEST_PAGES and (figures.fallback_share or 0) > MOST_FALLBACKS:
        yield f"{figures.fallback_share:.1%} of pages are not the model's"
    for target, state in (figures.breakers or {}).items():
        if state is Breaker.OPEN:
            yield f"the breaker of {target} is open"


def _of_others(figures: Figures) -> Iterator[str]:
    for topic, lag_s in (figures.lag_s or {}).items():
        if math.isnan(lag_s):
            yield f"nobody knows how far the sink is behind {topic}"
        elif lag_s > MOST_LAG_S:
            yield f"the sink is {lag_s:,.0f} s behind {topic}"
    if figures.model_age_s is not None and math.isinf(figures.model_age_s):
        yield "a scorer has no model"
    elif (figures.model_age_s or 0) > MOST_MODEL_AGE_S:
        yield f"no good model has come for {MOST_MODEL_AGE_S / 3_600:.0f} h"


def _of_books(books: Books | None) -> Iterator[str]:
    if books is None:
        yield "the database cannot be used"
        return
    if books.balance:
        yield f"the ledger is out of balance by {books.balance:,}"
    if books.age_s > MOST_LEDGER_AGE_S:
        yield "the ledger does not follow what is served"


def _together(processes: Sequence[Process], name: str) -> Window:
    windows = [each.window for each in processes if each.name == name and each.window is not None]
    return Window(
        [samples for window in windows for samples in window.before],
        [samples for window in windows for samples in window.after],
    )


def _breakers(bridges: Window) -> dict[str, Breaker]:
    worst: dict[str, float] = {}
    for each in bridges.values(_BREAKER):
        target = each.labels["target"]
        worst[target] = max(worst.get(target, 0.0), each.value)
    states = tuple(Breaker)
    return {target: states[min(int(value), _OPEN)] for target, value in sorted(worst.items())}


def _lag(sinks: Window) -> dict[str, float]:
    found: dict[str, float] = {}
    for each in sinks.values(_LAG_S):
        topic = each.labels["topic"]
        known = found.get(topic, 0.0)
        # What one sink does not know, nobody does.
        found[topic] = math.nan if math.isnan(known) or math.isnan(each.value) else max(known, each.value)
    return found
