"""What processes tell in their metrics, at two times: what came to be between them; pure."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias


class Sample(NamedTuple):
    """One line of an exposition.

    Args:
        labels: Its labels, by name.
        value: Its value.
    """

    labels: Mapping[str, str]
    value: float


# By the name of the metric.
Samples: TypeAlias = Mapping[str, Sequence[Sample]]


@dataclass(frozen=True, slots=True)
class Window:
    """The metrics of one process, or of several that do the same, at two times.

    Args:
        before: At the earlier one, by process.
        after: At the later one, by process, in the same order.
    """

    before: Sequence[Samples]
    after: Sequence[Samples]

    def values(self, name: str) -> Iterator[Sample]:
        """Yields a metric as it is now, of each process."""
        for samples in self.after:
            yield from samples.get(name, ())

    def increase(self, name: str, label: str = "") -> dict[str, float]:
        """Returns by how much a counter has grown, by a label of it.

        Args:
            name: The counter.
            label: By which label; empty: all together, under the empty key.
        """
        grown: defaultdict[str, float] = defaultdict(float)
        for before, after in zip(self.before, self.after, strict=True):
            earlier = {_key(each): each.value for each in before.get(name, ())}
            for each in after.get(name, ()):
                since = each.value - earlier.get(_key(each), 0.0)
                # Less than before: the process has begun anew.
                grown[each.labels.get(label, "")] += since if since >= 0 else each.value
        return dict(grown)

    def quantile(self, histogram: str, q: float) -> float | None:
        """Returns a quantile of what was observed between the two times, as Prometheus reckons it.

        Args:
            histogram: Its name.
            q: Above 0, at most 1.

        Returns:
            None when nothing was observed; the last finite bound where it lies beyond that.
        """
        buckets = {float(bound): count for bound, count in self.increase(f"{histogram}_bucket", "le").items()}
        bounds = sorted(buckets)
        if not bounds or not math.isinf(bounds[-1]) or buckets[bounds[-1]] <= 0:
            return None
        wanted = q * buckets[bounds[-1]]
        low, below = 0.0, 0.0
        for bound in bounds:
            if buckets[bound] >= wanted:
                return low if math.isinf(bound) else low + (bound - low) * (wanted - below) / (buckets[bound] - below)
            low, below = bound, buckets[bound]
        return low


def _key(sample: Sample) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(sample.labels.items()))
