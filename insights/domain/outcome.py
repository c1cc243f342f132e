"""What became of one served video: which action makes which outcome, and which outcome stands.

Everything that a user did with a served video is a set, and the outcome is the set's highest: so that neither order nor
copies matter, nor when each was heard of.
"""

import math
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple


class Outcome(StrEnum):
    """What a served video ends in, the lowest first: a higher one replaces a lower one, never the other way round.

    The first two are what is left where nothing was done. Among what users like, the more it takes, the higher, as in
    training. What they want to see no more stands above all: nobody hides by mistake what he likes.
    """

    PENDING = "pending"  # nothing yet, and the window is open
    IGNORED = "ignored"  # nothing within the window, or swiped away
    CONSUMED = "consumed"
    WATCHED = "watched"  # to the end, or nearly
    LIKED = "liked"
    ADDED = "added"
    SHARED = "shared"
    RATED = "rated"
    HIDDEN = "hidden"
    BLACKLISTED = "blacklisted"


class Status(StrEnum):
    """What the video is to the user after the outcome."""

    ACCEPTED = "accepted"
    IGNORED = "ignored"
    REJECTED = "rejected"


# What an interaction of each type does. A comment need not be praise; who follows an author adds him to his own.
BY_INTERACTION: Final[Mapping[str, Outcome]] = {
    "VIEW": Outcome.CONSUMED,
    "CLICK": Outcome.CONSUMED,
    "LIKE": Outcome.LIKED,
    "SHARE": Outcome.SHARED,
    "COMMENT": Outcome.CONSUMED,
    "FOLLOW": Outcome.ADDED,
    "SKIP": Outcome.IGNORED,
    "HIDE": Outcome.HIDDEN,
    "RATE": Outcome.RATED,
}

STATUSES: Final[Mapping[Outcome, Status]] = {
    Outcome.IGNORED: Status.IGNORED,
    Outcome.CONSUMED: Status.ACCEPTED,
    Outcome.WATCHED: Status.ACCEPTED,
    Outcome.LIKED: Status.ACCEPTED,
    Outcome.ADDED: Status.ACCEPTED,
    Outcome.SHARED: Status.ACCEPTED,
    Outcome.RATED: Status.ACCEPTED,
    Outcome.HIDDEN: Status.REJECTED,
    Outcome.BLACKLISTED: Status.REJECTED,
}

ACCEPTED: Final = tuple(outcome for outcome, status in STATUSES.items() if status is Status.ACCEPTED)
REJECTED: Final = tuple(outcome for outcome, status in STATUSES.items() if status is Status.REJECTED)
ADDING: Final = (Outcome.LIKED, Outcome.ADDED, Outcome.SHARED)

BITS: Final[Mapping[Outcome, int]] = {outcome: 1 << place for place, outcome in enumerate(STATUSES)}
_RANKED: Final = tuple(BITS)

# From this share of a video's length on, a view is one to the end: the last seconds are often credits.
_WATCHED_FROM: Final = 0.9
# A rating below the middle of 0 to 10 says that the video was a mistake.
_GOOD_RATING: Final = 5.0


class Deeds(NamedTuple):
    """Everything that a user did with one served video, as far as it is known.

    Args:
        actions: A bit of `BITS` each.
        watch_time_s: The longest that was told, in seconds.
        rating: The last rating, 0 to 10.
        rated_at: When it was given.
    """

    actions: int = 0
    watch_time_s: float = 0.0
    rating: float | None = None
    rated_at: datetime | None = None


NOTHING: Final = Deeds()


def deeds_of(
    interaction_type: str, watch_time_s: float, duration_s: float | None, rating: float | None, time: datetime
) -> Deeds:
    """Returns what one interaction tells.

    Args:
        interaction_type: Its name in the contract; of one that is not known here nothing is told.
        watch_time_s: How long the video was watched, in seconds.
        duration_s: Length of the video, in seconds; None: unknown.
        rating: The rating, 0 to 10.
        time: When it happened.
    """
    action = BY_INTERACTION.get(interaction_type)
    if action is None:
        return NOTHING
    if interaction_type == "VIEW" and duration_s and watch_time_s >= _WATCHED_FROM * duration_s:
        action = Outcome.WATCHED
    return deed(action, rating, time)._replace(watch_time_s=watch_time_s)


def deed(action: Outcome, rating: float | None, time: datetime) -> Deeds:
    """Returns a single action; PENDING is none."""
    return Deeds(BITS[action], 0.0, rating, None if rating is None else time)


def joined(one: Deeds, other: Deeds) -> Deeds:
    """Returns both together: in whatever order and however often they are joined, the result is the same."""
    later = max(one, other, key=_rated)
    actions, watch_time_s = one.actions | other.actions, max(one.watch_time_s, other.watch_time_s)
    return Deeds(actions, watch_time_s, later.rating, later.rated_at)


def outcome_of(deeds: Deeds, *, window_over: bool) -> Outcome:
    """Returns the one outcome.

    Args:
        deeds: What was done.
        window_over: Whether the time is over within which something must have been done.
    """
    if not deeds.actions:
        return Outcome.IGNORED if window_over else Outcome.PENDING
    return _RANKED[deeds.actions.bit_length() - 1]


def was_successful(outcome: Outcome, rating: float | None) -> bool | None:
    """Says whether it was right to serve the video; None while that is open."""
    if outcome is Outcome.PENDING:
        return None
    return STATUSES[outcome] is Status.ACCEPTED and (rating is None or rating >= _GOOD_RATING)


def confidence_match(confidence: float, successful: bool | None) -> float | None:
    """Returns how well the ranking knew, 0 to 1: the first place on a page promises a success, the last one little.

    Args:
        confidence: Place on the page as a share: 1 for the first of n, 1/n for the last.
        successful: What `was_successful` returns.
    """
    return None if successful is None else 1.0 - abs(confidence - float(successful))


def did_any(actions: int, outcomes: tuple[Outcome, ...]) -> bool:
    """Says whether one of these is among the actions, be it the highest or not."""
    return any(actions & BITS[outcome] for outcome in outcomes)


def _rated(deeds: Deeds) -> tuple[float, float]:
    """Returns what the later of two ratings has more of; of two at once the better one."""
    if deeds.rated_at is None or deeds.rating is None:
        return (-math.inf, 0.0)
    return (deeds.rated_at.timestamp(), deeds.rating)
