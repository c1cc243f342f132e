"""What must be true of each event of what was served and consumed; pure."""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from feed.recommendations.v1 import recommendations_pb2 as pb
from insights.domain.analytics import CONSUMING, AnalyticsEvent, EventName

SOURCES: Final = frozenset(pb.Source.keys()) - {"SOURCE_UNSPECIFIED"}
REASONS: Final = frozenset(pb.FallbackReason.keys()) - {"FALLBACK_REASON_UNSPECIFIED"}

# The bounds of the contract.
_ID_CHARS: Final = 128
_LONGEST_WATCH_S: Final = 86_400.0


class Problem(NamedTuple):
    """What is wrong with a field.

    Args:
        field: Its name.
        text: What it must be, or that it is missing.
    """

    field: str
    text: str


class _Rule(NamedTuple):
    """What a field must be.

    Args:
        holds: Says whether a value is.
        text: The same in words.
    """

    holds: Callable[[Any], bool]
    text: str


def _is_id(value: object) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= _ID_CHARS


def _is_time(value: object) -> bool:
    return isinstance(value, datetime) and value.tzinfo is not None


def _is_position(value: object) -> bool:
    return isinstance(value, int) and value >= 1


def _are_positions(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_position, value)) and value == sorted(set(value))


def _are_videos(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_id, value)) and len(set(value)) == len(value)


def _are_experiments(value: Any) -> bool:
    names = {"experiment_id", "variant_id"}
    return isinstance(value, list) and all(each.keys() == names and all(map(_is_id, each.values())) for each in value)


def _is_watch_time(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and 0 <= value <= _LONGEST_WATCH_S


def _one_of(names: Collection[str]) -> _Rule:
    return _Rule(lambda value: value in names, f"must be one of {', '.join(sorted(names))}")


_ID: Final = _Rule(_is_id, f"must be 1 to {_ID_CHARS} characters")
_EVERYWHERE: Final[Mapping[str, _Rule]] = {
    "message_id": _ID,
    "user_id": _ID,
    "time": _Rule(_is_time, "must be a time with a zone"),
    "recommendation_id": _ID,
    "algorithm": _ID,
    "source": _one_of(SOURCES),
    "fallback_reason": _one_of(REASONS),
    "model_version": _Rule(lambda value: value == "" or _is_id(value), f"must be at most {_ID_CHARS} characters"),
    "experiments": _Rule(_are_experiments, "must be pairs of experiment_id and variant_id"),
}
_RULES: Final[Mapping[EventName, Mapping[str, _Rule]]] = {
    EventName.SERVED: {
        **_EVERYWHERE,
        "feed_session_id": _ID,
        "video_ids": _Rule(_are_videos, "must be ids, each once"),
        "positions": _Rule(_are_positions, "must be whole numbers from 1 that grow"),
    },
    EventName.CONSUMED: {
        **_EVERYWHERE,
        "feed_session_id": _Rule(lambda value: value == "" or _is_id(value), f"must be at most {_ID_CHARS} characters"),
        "video_id": _ID,
        "position": _Rule(_is_position, "must be a whole number from 1"),
        "interaction_type": _one_of(CONSUMING),
        "watch_time_s": _Rule(_is_watch_time, f"must be 0 to {_LONGEST_WATCH_S:.0f}"),
    },
}

# Which fields an event has, those that nothing is known of included.
FIELDS: Final[Mapping[EventName, Sequence[str]]] = {name: tuple(rules) for name, rules in _RULES.items()}


def problems_of(event: AnalyticsEvent) -> list[Problem]:
    """Returns what is wrong with an event; nothing, when every field is there and as it must be."""
    told = {"message_id": event.message_id, "user_id": event.user_id, "time": event.time, **event.properties}
    if event.name is EventName.CONSUMED and told.get("source") == "":
        # Everything that it lacks follows from this.
        return [Problem("recommendation_id", "must name a page that was served, with this video")]
    missing = [Problem(field, "is missing") for field in _RULES[event.name] if field not in told]
    wrong = [
        Problem(field, rule.text)
        for field, rule in _RULES[event.name].items()
        if field in told and not rule.holds(told[field])
    ]
    return missing + wrong or [*_contradictions(event.name, told)]


def _contradictions(name: EventName, told: Mapping[str, Any]) -> Iterator[Problem]:
    """Yields what does not go together; every field for itself is as it must be."""
    if told["source"] == "LIGHTFM" and not told["model_version"]:
        yield Problem("model_version", "must name the model of a page of LIGHTFM")
    if told["source"] == "LIGHTFM" and told["fallback_reason"] != "NONE":
        yield Problem("fallback_reason", "must be NONE on a page of LIGHTFM")
    if name is EventName.SERVED and len(told["positions"]) != len(told["video_ids"]):
        yield Problem("positions", "must be one a video")
