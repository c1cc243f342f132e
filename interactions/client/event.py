"""An event as the client keeps it: the contract's JSON, made once, with its id and its time."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypedDict

_JSON_NAMES: Final = {
    "watch_time_s": "watchTime",
    "feed_session_id": "feedSessionId",
    "recommendation_id": "recommendationId",
    "position": "position",
    "algorithm": "algorithm",
    "recommendation_score": "recommendationScore",
    "model_version": "modelVersion",
    "experiments": "experiments",
    "rating": "rating",
    "served_token": "servedToken",
    "metadata": "metadata",
}


class Details(TypedDict, total=False):
    """What may be known of an event besides who, what and which; None is as good as absent."""

    watch_time_s: float | None
    feed_session_id: str | None
    recommendation_id: str | None
    position: int | None
    algorithm: str | None
    recommendation_score: float | None
    model_version: str | None
    experiments: Mapping[str, str] | None
    rating: float | None
    served_token: str | None
    metadata: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class Event:
    """An event that is to be sent.

    Args:
        event_id: UUID; the same each time it is sent.
        line: The contract's JSON, without a line end.
    """

    event_id: str
    line: bytes


@dataclass(frozen=True, slots=True)
class Rejection:
    """An event that will not be sent any more.

    Args:
        event_id: Its id.
        field: The field that was wrong, by its JSON name; empty when it was none.
        reason: Why, with the accepted range.
        event: The event, by its JSON names; empty when it could not be written down.
    """

    event_id: str
    field: str
    reason: str
    event: Mapping[str, Any]


class UnsendableError(Exception):
    """The caller's fault: a value that JSON cannot hold. Nothing was kept."""


def encode(event_id: str, when: datetime, who: Mapping[str, str], details: Details) -> Event:
    """Writes an event down.

    Args:
        event_id: Its id.
        when: When it happened; one without a zone is taken as local time.
        who: `userId`, `videoId` and `interactionType`.
        details: The rest.

    Raises:
        TypeError: A detail that there is not.
        UnsendableError: A value that JSON cannot hold.
    """
    known = {_json_name(name): value for name, value in details.items() if value is not None}
    if "experiments" in known:
        known["experiments"] = _assignments(known["experiments"])
    try:
        whole = {"eventId": event_id, **who, "timestamp": _instant(when), **known}
        return Event(event_id, json.dumps(whole, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode())
    except (TypeError, ValueError, OverflowError, AttributeError, RecursionError) as error:
        raise UnsendableError(f"cannot be written as JSON: {error}") from error


def rejection(event: Event, field: str, reason: str) -> Rejection:
    """Returns what the caller is told of an event that will not be sent any more."""
    return Rejection(event.event_id, field, reason, json.loads(event.line))


def _json_name(name: str) -> str:
    try:
        return _JSON_NAMES[name]
    except KeyError:
        raise TypeError(f"track() got an unexpected keyword argument {name!r}") from None


def _assignments(experiments: object) -> object:
    if not isinstance(experiments, Mapping):
        return experiments  # the service refuses it in its own words
    return [{"experiment": name, "variant": variant} for name, variant in experiments.items()]


def _instant(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
