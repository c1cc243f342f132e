"""What an experiment says: each variant held against the control, and which one harms its users; pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from insights.domain.ledger import Entry
from insights.domain.outcome import ADDING, STATUSES, Outcome, Status, did_any
from insights.domain.statistics import Difference, Rate, Sums, difference, mismatch, rate_of

# Shares of users that are believable less than this are taken for wrong.
MISMATCH: Final = 0.001


class Metric(StrEnum):
    """What variants are compared by."""

    ACCEPTED = "accepted"
    ADDED = "added"
    WATCH_TIME = "watch_time"
    HIDDEN = "hidden"
    FALLBACKS = "fallbacks"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class Definition:
    """How a metric is made of the counts of users.

    Args:
        meaning: In words.
        x: Count of the numerator.
        y: Count of the denominator.
        scale: What one of x over one of y is worth.
        harm: A variant harms when it has certainly more of this than the control, by this share of the control's; None:
            more is no harm.
        harm_from: And by at least so much.
    """

    meaning: str
    x: str
    y: str
    scale: float = 1.0
    harm: float | None = None
    harm_from: float = 0.0


METRICS: Final[Mapping[Metric, Definition]] = {
    Metric.ACCEPTED: Definition("served videos that were watched or liked", "accepted", "served"),
    Metric.ADDED: Definition("served videos that were liked, added or shared", "added", "served"),
    Metric.WATCH_TIME: Definition("watch time per page, in seconds", "watch_time_ms", "pages", 0.001),
    Metric.HIDDEN: Definition("served videos that were hidden", "hidden", "served", harm=0.2, harm_from=0.001),
    Metric.FALLBACKS: Definition("pages that the model did not rank", "fallbacks", "pages", harm=0.2, harm_from=0.02),
    Metric.LATE: Definition("pages that came late", "late", "pages", harm=0.2, harm_from=0.02),
}

_HIDING: Final = (Outcome.HIDDEN, Outcome.BLACKLISTED)


@dataclass(frozen=True, slots=True)
class VariantReport:
    """What is known of one variant.

    Args:
        name: Its name.
        users: How many users had a page of it.
        rates: Its rates; of metrics of which enough is known.
        differences: By how much they differ from the control's; none of the control.
    """

    name: str
    users: int
    rates: Mapping[Metric, Rate]
    differences: Mapping[Metric, Difference]


@dataclass(frozen=True, slots=True)
class ExperimentReport:
    """What is known of an experiment.

    Args:
        variants: They; the first is the control.
        mismatch: How believable it is that users were drawn by the weights, 0 to 1.
    """

    variants: Sequence[VariantReport]
    mismatch: float

    @property
    def is_mismatched(self) -> bool:
        """Whether the users are certainly not those that were drawn: then no difference means anything."""
        return self.mismatch < MISMATCH

    def harms(self) -> Iterator[str]:
        """Yields in words why a variant must not go on."""
        control = self.variants[0]
        for variant in self.variants[1:]:
            for metric, found in variant.differences.items():
                definition = METRICS[metric]
                if definition.harm is None:
                    continue
                bound = max(definition.harm * control.rates[metric].value, definition.harm_from)
                if found.low > bound:
                    yield (
                        f"{variant.name}: {definition.meaning}: {variant.rates[metric].value:.2%} instead of"
                        f" {control.rates[metric].value:.2%}, by {found.low:.2%} at least"
                    )


def page_counted(videos: int, *, fell_back: bool, is_late: bool) -> Counter[str]:
    """Returns what a served page adds to the counts of its user."""
    return Counter(pages=1, fallbacks=int(fell_back), late=int(is_late), served=videos)


def deeds_counted(entry: Entry) -> Counter[str]:
    """Returns what a served video adds to the counts of its user."""
    return Counter(
        accepted=int(STATUSES.get(entry.outcome) is Status.ACCEPTED),
        added=int(did_any(entry.deeds.actions, ADDING)),
        hidden=int(entry.outcome in _HIDING),
        watch_time_ms=round(entry.deeds.watch_time_s * 1000),
    )


def report(weights: Mapping[str, float], sums: Mapping[Metric, Mapping[str, Sums]]) -> ExperimentReport:
    """Holds each variant against the first.

    Args:
        weights: Weight of each variant, the control first.
        sums: What the users of each variant add up to, by metric and variant.
    """
    rates = {name: dict(_rates(name, sums)) for name in weights}
    users = {name: max((of[name].users for of in sums.values() if name in of), default=0) for name in weights}
    control, *others = weights
    variants = [VariantReport(control, users[control], rates[control], {})]
    for name in others:
        both = rates[control].keys() & rates[name].keys()
        differences = {
            metric: difference(rates[control][metric], rates[name][metric]) for metric in METRICS if metric in both
        }
        variants.append(VariantReport(name, users[name], rates[name], differences))
    return ExperimentReport(variants, mismatch(list(users.values()), list(weights.values())))


def _rates(name: str, sums: Mapping[Metric, Mapping[str, Sums]]) -> Iterator[tuple[Metric, Rate]]:
    for metric, definition in METRICS.items():
        found = sums.get(metric, {}).get(name)
        rate = rate_of(found) if found else None
        if rate is not None:
            yield metric, Rate(rate.value * definition.scale, rate.variance * definition.scale**2, rate.users)
