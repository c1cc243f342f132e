"""How far served videos came, and what that is told apart by; pure."""

import json
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import cache
from typing import Final, NamedTuple, TypeAlias, TypeVar

K = TypeVar("K", bound=Hashable)

_MILLION: Final = 1_000_000.0


class Split(StrEnum):
    """What figures are told apart by."""

    ALGORITHM = "algorithm"
    VARIANT = "variant"
    SOURCE = "source"
    POSITION = "position"
    MODEL_VERSION = "model_version"
    COUNTRY = "country"
    FALLBACK_REASON = "fallback_reason"


@dataclass(frozen=True, slots=True)
class Window:
    """Days in UTC.

    Args:
        since: The first one.
        until: The last one, not before the first.
    """

    since: date
    until: date

    def __iter__(self) -> Iterator[date]:
        """Yields every day, the oldest first."""
        return (self.since + timedelta(days=number) for number in range((self.until - self.since).days + 1))


class Funnel(NamedTuple):
    """How far served videos came.

    Args:
        pages: Pages that were served.
        served: Videos of them.
        consumed: Those that were consumed, whatever else was done.
        added: Those that were liked, added or shared.
        rated: Those that were rated.
        pending: Those without an outcome.
        accepted: Those whose outcome says so.
        successful: Those that it was right to serve.
        watch_time_ms: What was watched of them, in milliseconds.
        confidence_match_ppm: Sum of how well their places foretold their success, in millionths.
    """

    pages: int = 0
    served: int = 0
    consumed: int = 0
    added: int = 0
    rated: int = 0
    pending: int = 0
    accepted: int = 0
    successful: int = 0
    watch_time_ms: int = 0
    confidence_match_ppm: int = 0

    @property
    def acceptance_rate(self) -> float:
        """The share that was accepted, 0 to 1; 0 when nothing was served."""
        return self.accepted / self.served if self.served else 0.0

    @property
    def watch_time_per_page_s(self) -> float:
        """What was watched of a page, in seconds; 0 when none was served."""
        return self.watch_time_ms / 1000 / self.pages if self.pages else 0.0

    @property
    def success_rate(self) -> float | None:
        """The share that it was right to serve, 0 to 1, of those with an outcome; None when there are none."""
        decided = self.served - self.pending
        return self.successful / decided if decided else None

    @property
    def confidence_match(self) -> float | None:
        """How well their places foretold their success, 0 to 1, of those with an outcome; None when there are none."""
        decided = self.served - self.pending
        return self.confidence_match_ppm / _MILLION / decided if decided else None


NOTHING_SERVED: Final = Funnel()

# Figures of a part, and of a part's day.
Parts: TypeAlias = Mapping[str, Funnel]
Days: TypeAlias = Mapping[str, Mapping[date, Funnel]]


def in_order(split: Split, parts: Parts) -> list[str]:
    """Returns the names of parts: positions as they follow each other, anything else by what was served."""
    if split is Split.POSITION:
        return sorted(parts, key=lambda name: int(name.partition("-")[0]))
    return sorted(parts, key=lambda name: (-parts[name].served, name))


@cache
def variants_of(experiments: str) -> tuple[str, ...]:
    """Returns the variants of a page, as `experiment=variant`.

    Args:
        experiments: JSON text of them, cut somewhere when it is long; empty: none.
    """
    found, begin, decoder = [], experiments.find("{"), json.JSONDecoder()
    while begin >= 0:
        try:
            told, end = decoder.raw_decode(experiments, begin)
        except ValueError:  # the one that is cut
            break
        found.append(f"{told['experiment']}={told['variant']}")
        begin = experiments.find("{", end)
    return tuple(found)


def together(funnels: Iterable[Funnel]) -> Funnel:
    """Returns the sum of figures."""
    return Funnel(*map(sum, zip(NOTHING_SERVED, *funnels, strict=True)))


def added_up(rows: Iterable[tuple[K, Funnel]]) -> dict[K, Funnel]:
    """Returns the sum of the figures of each key."""
    groups: dict[K, list[Funnel]] = {}
    for key, funnel in rows:
        groups.setdefault(key, []).append(funnel)
    return {key: together(funnels) for key, funnels in groups.items()}


def whole_trends(split: Split | None, window: Window, days: Days) -> list[tuple[str, list[Funnel]]]:
    """Returns the figures of every day of each part, the parts in order; without a split there is always one part."""
    totals = {name: together(of_part.values()) for name, of_part in days.items()}
    names = in_order(split, totals) if split else [""]
    return [(name, [days.get(name, {}).get(day, NOTHING_SERVED) for day in window]) for name in names]
