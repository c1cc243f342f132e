"""Rankings beside each other: what each reached, with intervals, and how far the first is ahead of the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from trainer.domain.bootstrap import Doubles, Interval, draw
from trainer.domain.ranking import Rankings
from trainer.domain.ranking_metrics import PER_USER, Measured, Truth, measure
from trainer.domain.segments import ALL, Segments, users_in, values_by_segment

NDCG: Final = "ndcg_at_10"
AUC: Final = "auc"


class Figure(NamedTuple):
    """Which mean it is: whose ranking, for whom, of what."""

    ranking: str
    segment: str
    metric: str


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What some rankings reached with the same users.

    Args:
        measured: By name of the ranking, the one whose leads are found first.
        figures: Means over the users of a segment, with intervals.
        leads: The first ranking's means less those of another, which the figure names; paired by user.
        users: Users of each segment.
    """

    measured: Mapping[str, Measured]
    figures: Mapping[Figure, Interval]
    leads: Mapping[Figure, Interval]
    users: Mapping[str, int]

    def lead_over(self, ranking: str, metric: str = NDCG) -> Interval | None:
        """Returns the lead over another ranking, of all users; None when that was not measured."""
        return self.leads.get(Figure(ranking, ALL, metric))


NOTHING_COMPARED: Final = Comparison({}, {}, {}, {})


def compare(rankings: Mapping[str, Rankings], truth: Truth, segments: Segments, seed: int) -> Comparison:
    """Measures rankings, one a user of the truth each, for everybody and by segment.

    Args:
        rankings: By name; the first is the one whose leads are found.
        truth: What they are held against.
        segments: For whom besides everybody.
        seed: Of the bootstrap.
    """
    measured = {name: measure(each, truth) for name, each in rankings.items()}
    return compare_measured(
        measured,
        {name: values_by_segment(each, truth, measured[name], segments) for name, each in rankings.items()},
        seed,
    )


def compare_measured(
    measured: Mapping[str, Measured], values: Mapping[str, Mapping[str, Doubles]], seed: int
) -> Comparison:
    """Finds means, leads and their intervals.

    Args:
        measured: By name of the ranking.
        values: Users' figures by ranking and segment, as `values_by_segment` returns them.
        seed: Of the bootstrap.
    """
    first, *others = values
    tables = {(ranking, segment): table for ranking, by_name in values.items() for segment, table in by_name.items()}
    draws = draw(tables, seed)
    figures = {(ranking, segment): draws.intervals((ranking, segment)) for ranking, segment in tables}
    leads = {
        (other, segment): draws.leads((first, segment), (other, segment))
        for other in others
        for segment in values[other]
    }
    users = {segment: users_in(table) for segment, table in values[first].items()}
    return Comparison(measured, _by_figure(figures), _by_figure(leads), users)


def _by_figure(found: Mapping[tuple[str, str], Sequence[Interval]]) -> dict[Figure, Interval]:
    return {
        Figure(*place, metric): each for place, row in found.items() for metric, each in zip(PER_USER, row, strict=True)
    }
