"""Interactions for fault tests: each follows from its number, so that a run need keep nothing but numbers."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

from feed.interactions.v1 import interactions_pb2 as pb

# An interaction as the contract's JSON has it on the topic: absent fields are left out.
Event: TypeAlias = Mapping[str, Any]

TYPES: Final = ("VIEW", "CLICK", "LIKE", "SHARE", "COMMENT", "FOLLOW", "SKIP", "HIDE", "RATE")
VIDEOS: Final = 997
# Every so many, one says no more than it must.
BARE_EVERY: Final = 5
# Every so many, one says that the view before it goes on.
REPEAT_EVERY: Final = 50

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Stream:
    """The events of one run.

    Args:
        run: Eight hexadecimal digits, in every id of the run.
        users: How many take turns.
        age_ms: How long ago each happened when it is sent, in milliseconds.
        start_ms: When the first one happened, in Unix milliseconds; 0: each happens as it is sent, less `age_ms`.
        step_ms: How much later each next one happened, when `start_ms` is given.
        repeats: Whether some views are told again as they go on.
    """

    run: str
    users: int = 500
    age_ms: int = 0
    start_ms: int = 0
    step_ms: int = 0
    repeats: bool = False

    def arguments(self) -> list[str]:
        """Returns it as the command line of the sender."""
        named = {name: str(value) for name, value in asdict(self).items() if name != "repeats"}
        told = [text for name, value in named.items() for text in (f"--{name.replace('_', '-')}", value)]
        return [*told, "--repeats"] if self.repeats else told

    def event_id(self, number: int) -> str:
        """Returns the id of an event, a UUID."""
        return f"{self.run}-0000-4000-8000-{number:012x}"

    def user_id(self, number: int) -> str:
        """Returns who did it."""
        return f"{self.run}-u{number % self.users}"

    def event(self, number: int, sent_ms: int) -> Event:
        """Returns an event.

        Args:
            number: From 0.
            sent_ms: Wall time when it was first sent, in Unix milliseconds.
        """
        source = number - 1 if self._is_repeat(number) else number
        kind = "VIEW" if source != number else TYPES[number % len(TYPES)]
        event: dict[str, Any] = {
            "userId": self.user_id(source),
            "videoId": f"v{source * 31 % VIDEOS}",
            "interactionType": kind,
            "watchTime": (source % 600 + number - source + 1) / 10 if kind == "VIEW" else 0.0,
            "timestamp": instant(self.start_ms + number * self.step_ms if self.start_ms else sent_ms - self.age_ms),
            "eventId": self.event_id(number),
        }
        if kind == "RATE":
            event["rating"] = number % 21 / 2
        return event if source % BARE_EVERY == 0 else event | self._context(number, source)

    def _context(self, number: int, source: int) -> dict[str, Any]:
        context: dict[str, Any] = {
            "feedSessionId": f"{self.run}-s{source}",
            "recommendationId": f"{self.run}-r{source // 20}",
            "position": source % 100 + 1,
            "algorithm": "lightfm-warp",
            "recommendationScore": number * 0.6180339887498949 % 1.0 - 0.5,
            "modelVersion": f"m{source % 3}",
        }
        if source % 2:
            context["experiments"] = [{"experiment": "ranker", "variant": "b" if source % 4 == 1 else "a"}]
        if source % 3 == 0:
            context["metadata"] = {"screen": "feed", "number": str(number)}
        return context

    def _is_repeat(self, number: int) -> bool:
        """Whether it repeats the one before it, which then is a view."""
        return self.repeats and number % REPEAT_EVERY == REPEAT_EVERY - 1 and TYPES[(number - 1) % len(TYPES)] == "VIEW"


def message(event: Event) -> pb.Interaction:
    """Returns an event as it is sent over gRPC."""
    made = pb.Interaction(
        event_id=event["eventId"],
        user_id=event["userId"],
        video_id=event["videoId"],
        interaction_type=event["interactionType"],
        watch_time_s=event["watchTime"],
        feed_session_id=event.get("feedSessionId", ""),
        recommendation_id=event.get("recommendationId", ""),
        position=event.get("position", 0),
        algorithm=event.get("algorithm", ""),
        recommendation_score=event.get("recommendationScore"),
        model_version=event.get("modelVersion", ""),
        rating=event.get("rating"),
        metadata=event.get("metadata"),
    )
    for each in event.get("experiments", ()):
        made.experiments.add(**each)
    made.timestamp.FromMilliseconds(milliseconds(event["timestamp"]))
    return made


def instant(time_ms: int) -> str:
    """Returns Unix milliseconds as the contract writes them, such as `2025-09-01T12:00:00.000Z`."""
    time = _EPOCH + timedelta(milliseconds=time_ms)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def milliseconds(text: str) -> int:
    """Returns what the contract writes as Unix milliseconds."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)
