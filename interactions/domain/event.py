"""An interaction as every part of this package knows it."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias


class InteractionType(enum.StrEnum):
    """What the user did; the names of the contract."""

    VIEW = "VIEW"
    CLICK = "CLICK"
    LIKE = "LIKE"
    SHARE = "SHARE"
    COMMENT = "COMMENT"
    FOLLOW = "FOLLOW"
    SKIP = "SKIP"
    HIDE = "HIDE"
    RATE = "RATE"


@dataclass(frozen=True, slots=True)
class Assignment:
    """The variant of an experiment that the user was given."""

    experiment: str
    variant: str


@dataclass(frozen=True, slots=True)
class InteractionEvent:
    """One thing that a user did with one video. Absent text is empty, an absent number None.

    Args:
        user_id: Who.
        video_id: Which video.
        interaction_type: What.
        watch_time_s: How long the video was watched, in seconds.
        event_time: When, by the client's clock; aware, UTC.
        event_id: UUID as the client wrote it; empty until one is given.
        feed_session_id: The feed session it was shown in.
        recommendation_id: The page it was on.
        position: Its place in the feed, from 1.
        algorithm: What chose it.
        recommendation_score: The score it was chosen with.
        model_version: The model it was chosen by.
        experiments: The experiments the page was part of.
        rating: The user's rating, 0 to 10.
        served_token: Proof of what was served.
        metadata: Anything else.
    """

    user_id: str
    video_id: str
    interaction_type: InteractionType
    watch_time_s: float
    event_time: datetime
    event_id: str = ""
    feed_session_id: str = ""
    recommendation_id: str = ""
    position: int | None = None
    algorithm: str = ""
    recommendation_score: float | None = None
    model_version: str = ""
    experiments: tuple[Assignment, ...] = ()
    rating: float | None = None
    served_token: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The event id as it is stored: clients write a UUID in upper or lower case."""
        return self.event_id.lower()


@dataclass(frozen=True, slots=True)
class BrokenRule:
    """A rule that an event breaks.

    Args:
        field: Path of the field by its JSON names.
        reason: What is wrong, with the accepted range; fit for the caller.
    """

    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """An event that is not taken.

    Args:
        event_id: As the client gave it; may be empty.
        broken: Why; at least one rule.
        interaction_type: What it said it was, when that much is known.
    """

    event_id: str
    broken: tuple[BrokenRule, ...]
    interaction_type: InteractionType | None = None


# What an adapter made of the bytes it was sent.
Candidate: TypeAlias = InteractionEvent | Refusal
