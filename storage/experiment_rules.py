"""Which experiments make sense: the same for who makes them and for who shows them."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Final

from runtime.experiments import BUCKETS, Parameter, RankedBy, Variant
from storage.problems import Problem, ProblemsError

MOST_VARIANTS: Final = 10
_MOST_WEIGHT: Final = 1_000.0
_MOST_CHARS: Final = 1_000
_TEXT_CHARS: Final = 128
_LAYER_CHARS: Final = 64
_NAME: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_NAME_TEXT: Final = "1 to 128 characters of A-Z a-z 0-9 _ . : -"

# The range of each parameter, and whether only whole numbers are accepted.
RANGES: Final = {
    Parameter.SHUFFLE: (0.0, 1.0, False),
    Parameter.DIVERSITY: (0.0, 1.0, False),
    Parameter.MAX_RUN: (0.0, 100.0, True),
    Parameter.EXPLORATION: (0.0, 0.5, False),
    Parameter.PRIOR: (0.0, 1.0, True),
    Parameter.FOLD_IN: (0.0, 1.0, True),
}


class ExperimentError(ProblemsError):
    """An experiment makes no sense, or not at this time. Its maker's fault; mend the fields that it names."""


@dataclass(frozen=True, slots=True)
class Definition:
    """What an experiment is about; nothing of it changes afterwards.

    Args:
        name: Its name; nobody else has it, ever.
        layer: The layer that it is in: two of one layer never share a user.
        traffic: Share of all users who take part, 0.0001 to 1.
        variants: What they are given. The first is what the others are held against.
        hypothesis: What is expected, and why.
        admin_id: Who made it.
    """

    name: str
    layer: str
    traffic: float
    variants: Sequence[Variant]
    hypothesis: str
    admin_id: str


def problems_of(definition: Definition) -> tuple[Problem, ...]:
    """Returns what is wrong with an experiment; nothing when it makes sense."""
    return (*_wrong_texts(definition), *_wrong_traffic(definition.traffic), *_wrong_variants(definition.variants))


def _wrong_texts(definition: Definition) -> Iterator[Problem]:
    if not _NAME.fullmatch(definition.name):
        yield Problem("name", f"must be {_NAME_TEXT}")
    if not _NAME.fullmatch(definition.layer) or len(definition.layer) > _LAYER_CHARS:
        yield Problem("layer", f"must be 1 to {_LAYER_CHARS} characters of A-Z a-z 0-9 _ . : -")
    if len(definition.hypothesis) > _MOST_CHARS:
        yield Problem("hypothesis", f"must be at most {_MOST_CHARS} characters")
    if not 1 <= len(definition.admin_id) <= _TEXT_CHARS:
        yield Problem("admin_id", f"must be 1 to {_TEXT_CHARS} characters")


def _wrong_traffic(traffic: float) -> Iterator[Problem]:
    # What is no number is not within, either.
    if not 1 / BUCKETS <= traffic <= 1:
        yield Problem("traffic", f"must be a share of the users from {1 / BUCKETS:g} to 1")


def _wrong_variants(variants: Sequence[Variant]) -> Iterator[Problem]:
    if not 1 < len(variants) <= MOST_VARIANTS:
        yield Problem("variants", f"must be 2 to {MOST_VARIANTS}")
    for name, count in Counter(each.name for each in variants).items():
        if count > 1:
            yield Problem("variants", f"{name} is there {count} times; each name once")
    for each in variants:
        yield from _wrong_variant(each)


def _wrong_variant(variant: Variant) -> Iterator[Problem]:
    if not _NAME.fullmatch(variant.name):
        yield Problem("variants", f"a name must be {_NAME_TEXT}")
    if not 0 < variant.weight <= _MOST_WEIGHT:
        yield Problem("weight", f"of {variant.name}: must be above 0 and at most {_MOST_WEIGHT:g}")
    if variant.ranked_by is RankedBy.TRENDING and variant.parameters:
        yield Problem("parameters", f"of {variant.name}: no model ranks it, so it takes none")
    for name, value in variant.parameters.items():
        least, most, whole = RANGES[name]
        if not isfinite(value) or not least <= value <= most or (whole and value != int(value)):
            kind = "a whole number" if whole else "a number"
            yield Problem(name.value, f"of {variant.name}: must be {kind} from {least:g} to {most:g}")
