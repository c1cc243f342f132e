"""The JSON of `feed.served.v1`: one record a served page, the analytics event `feed_recommendation_served`.

The contract (release v2025.9): the fields without a default always and in this order, then what is known of the rest.
The sink and the insights read it; readers ignore what they do not know.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import msgspec

from bridge.domain.outcome import FallbackReason, Source

EVENT_NAME: Final = "feed_recommendation_served"


class ServedExperiment(msgspec.Struct, frozen=True, gc=False):
    """One experiment that the page was part of, and the variant that its user was given."""

    experiment: str
    variant: str


class ServedRecord(
    msgspec.Struct, frozen=True, omit_defaults=True, rename="camel", tag_field="name", tag=EVENT_NAME, gc=False
):
    """A served page. A struct, since a frozen dataclass of this size takes five times as long to make.

    Args:
        recommendation_id: The page; nobody else has this id, so readers drop what they know by it.
        user_id: Whose page it is.
        feed_session_id: The session of the scroll.
        timestamp: When it was served, as `instant` writes it.
        algorithm: What ranked it.
        source: Where its ranking came from.
        fallback_reason: Why it is not the model's.
        model_version: The model; empty when none ranked.
        rung: The ladder's rung that served; empty when the model did, or on a further page.
        continued: Whether it is a further page of a ranking made earlier.
        experiments: What it was part of.
        first_position: Place of its first video in the session, from 1; the others follow without a gap.
        video_ids: Its videos, best first.
        scores: Their scores, one a video.
        attempts: Calls made to scorers for it.
        elapsed_ms: From arrival to the finished page, in milliseconds.
        score_parts: What the scores are made of, by the part's name one number a video; empty: not known.
        explored: Places in `video_ids`, from 0, that were kept for new videos.
        propensities: With which probability each of these videos got its place.
        filters_applied: What the request asked of every video, as `served_filters` writes it.
        removed: How many videos each rule took out.
    """

    recommendation_id: str
    user_id: str
    feed_session_id: str
    timestamp: str
    algorithm: str
    source: Source
    fallback_reason: FallbackReason
    model_version: str
    rung: str
    continued: bool
    experiments: Sequence[ServedExperiment]
    first_position: int
    video_ids: Sequence[str]
    scores: Sequence[float]
    attempts: int
    elapsed_ms: float
    score_parts: Mapping[str, Sequence[float]] = {}
    explored: Sequence[int] = ()
    propensities: Sequence[float] = ()
    filters_applied: Mapping[str, object] = {}
    removed: Mapping[str, int] = {}


_ENCODER: Final = msgspec.json.Encoder()
# What a record that is too large can do without, the first first.
_DISPENSABLE: Final = (("score_parts",), ("filters_applied", "removed"))
_NOTHING: Final[dict[str, object]] = {}


def encode(record: ServedRecord, max_bytes: int) -> bytes:
    """Returns the JSON of a record; without what is dispensable when it would be too large with it.

    Args:
        record: The page.
        max_bytes: Most bytes of the JSON. 100 videos with ids of 128 characters need 20,000 at least.
    """
    value = _ENCODER.encode(record)
    for names in _DISPENSABLE:
        if len(value) <= max_bytes:
            break
        record = msgspec.structs.replace(record, **dict.fromkeys(names, _NOTHING))
        value = _ENCODER.encode(record)
    return value


def columns(names: Sequence[str], rows: Sequence[float]) -> dict[str, Sequence[float]]:
    """Returns the parts of scores by name.

    Args:
        names: The parts.
        rows: Their values, one row a video, one column a name, one after the other.
    """
    return {name: rows[place :: len(names)] for place, name in enumerate(names)}


def instant(time_ms: int) -> str:
    """Returns a time as the record holds it: RFC 3339, UTC, milliseconds.

    Args:
        time_ms: Unix milliseconds.
    """
    seconds, milliseconds = divmod(time_ms, 1000)
    return f"{_second(seconds)}.{milliseconds:03}Z"


@lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]
