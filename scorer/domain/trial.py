"""Which users a candidate is tried on, and how far two rankings agree."""

from collections.abc import Sequence

from runtime.lots import LOTS, lot_of


def is_tried_on(user_id: str, model_version: str, share: float) -> bool:
    """Tells whether a user is among those that a candidate is tried on.

    Nothing is stored: each process gives the same answer at any time. Each user has the same chance, for each
    candidate anew, so that not always the same users bear the trials; and who is in a share is in each larger one.

    Args:
        user_id: The user.
        model_version: The candidate.
        share: Share of the users, 0 to 1.
    """
    # No version holds a slash.
    return lot_of(f"{model_version}/{user_id}") < share * LOTS


def overlap(first: Sequence[str], second: Sequence[str], depth: int) -> float:
    """Returns the share of their best videos that two rankings have in common, 0 to 1, whatever their order.

    Args:
        first: Ids, best first.
        second: Of the other ranking; not both are empty.
        depth: So many of each count; of fewer all.
    """
    one, other = set(first[:depth]), set(second[:depth])
    return len(one & other) / max(len(one), len(other))
