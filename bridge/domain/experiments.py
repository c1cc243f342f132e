"""What experiments make of a user's pages."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from runtime.experiments import Experiment, Given, Parameter, RankedBy


@dataclass(frozen=True, slots=True)
class ExperimentsPolicy:
    """How experiments are followed.

    Args:
        poll_s: Time between two looks, in seconds.
        overrides: Whether testers may choose variants.
    """

    poll_s: float
    overrides: bool


@dataclass(frozen=True, slots=True)
class KnownExperiments:
    """The experiments that there are.

    Args:
        running: Those that are running, those of a layer one after the other.
        drafts: Those that have not been started; only testers see them.
    """

    running: tuple[Experiment, ...] = ()
    drafts: tuple[Experiment, ...] = ()


class Membership(msgspec.Struct, frozen=True, array_like=True):
    """The experiments that a ranking was part of.

    Args:
        variants: Of each its name and that of the variant.
        is_test: Whether a tester chose one of the variants: then the page counts for none of them.
    """

    variants: tuple[tuple[str, str], ...] = ()
    is_test: bool = False


NO_MEMBERSHIP: Final = Membership()


@dataclass(frozen=True, slots=True)
class Treatment:
    """How a user's pages are made.

    Args:
        membership: The experiments that say so.
        ranked_by: What ranks.
        parameters: What is set otherwise than by the settings.
    """

    membership: Membership = NO_MEMBERSHIP
    ranked_by: RankedBy = RankedBy.MODEL
    parameters: Mapping[Parameter, float] = field(default_factory=dict)


UNTREATED: Final = Treatment()


def treatment_of(variants: Iterable[Given], *, is_test: bool = False) -> Treatment:
    """Puts together what several experiments say; where two say something of the same, the later one holds.

    Args:
        variants: The variants that a user was given.
        is_test: Whether a tester chose one of them.
    """
    ranked_by, parameters, names = RankedBy.MODEL, dict[Parameter, float](), []
    for each in variants:
        names.append((each.experiment, each.variant.name))
        parameters |= each.variant.parameters
        if each.variant.ranked_by is not RankedBy.MODEL:
            ranked_by = each.variant.ranked_by
    return Treatment(Membership(tuple(names), is_test), ranked_by, parameters) if names else UNTREATED
