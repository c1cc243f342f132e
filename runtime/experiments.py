"""Experiments: who is part of one, and which variant he is given. Pure.

Both follow from hashes alone, so they are the same in every process and at every time. Each layer parts all users into
10,000 buckets of its own; an experiment has some buckets of one layer, so two experiments of a layer never share a
user, and those of different layers share as many as chance has it. Within an experiment its own salt draws the variant.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from typing import Final

import msgspec

from runtime.lots import LOTS, lot_of

BUCKETS: Final = 10_000


class RankedBy(StrEnum):
    """What ranks for the users of a variant."""

    MODEL = "model"
    CANDIDATE = "candidate"  # the model that is tried beside the live one; the live one where none is
    TRENDING = "trending"


class Parameter(StrEnum):
    """What a variant may set for its users; each stands for the bridge's setting of its name."""

    SHUFFLE = "shuffle"
    DIVERSITY = "diversity"
    MAX_RUN = "max_run"
    EXPLORATION = "exploration"
    PRIOR = "prior"
    FOLD_IN = "fold_in"


class Variant(msgspec.Struct, frozen=True):
    """One way to make the feed.

    Args:
        name: Its name within the experiment.
        weight: Its share of the experiment's users, relative to the others'; positive.
        ranked_by: What ranks.
        parameters: What is set otherwise than by the bridge's settings.
    """

    name: str
    weight: float
    ranked_by: RankedBy = RankedBy.MODEL
    parameters: Mapping[Parameter, float] = {}


class Experiment(msgspec.Struct, frozen=True):
    """An experiment that is running.

    Args:
        name: Its name.
        layer: The layer that it is in.
        salt: What draws its variants.
        buckets: Its buckets of the layer, as ranges from a first one to before a last one.
        variants: Its variants, one at least.
    """

    name: str
    layer: str
    salt: str
    buckets: Sequence[tuple[int, int]]
    variants: Sequence[Variant]

    def variant_of(self, user_id: str) -> Variant:
        """Returns the variant that a user of the experiment is given."""
        bounds = list(accumulate(each.weight for each in self.variants))
        place = lot_of(f"{self.salt}\n{user_id}") / LOTS * bounds[-1]
        # A draw next to the end is rounded up to it.
        return self.variants[min(bisect_right(bounds, place), len(bounds) - 1)]


@dataclass(frozen=True, slots=True)
class Given:
    """A variant that a user was given."""

    experiment: str
    variant: Variant


def given(experiments: Sequence[Experiment], user_id: str) -> Iterator[Given]:
    """Yields the variants that a user is given, in the order of the experiments.

    Args:
        experiments: Those that are running, those of a layer one after the other.
        user_id: The user.
    """
    layer, bucket = None, 0
    for each in experiments:
        if each.layer != layer:
            layer, bucket = each.layer, bucket_of(each.layer, user_id)
        if any(first <= bucket < end for first, end in each.buckets):
            yield Given(each.name, each.variant_of(user_id))


def bucket_of(layer: str, user_id: str) -> int:
    """Returns the bucket of a layer that a user is in, 0 to 9,999."""
    return lot_of(f"layer {layer}\n{user_id}") % BUCKETS
