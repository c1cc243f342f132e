"""Says of an ordinary event at once that it breaks no rule; whatever else comes is for the rules to judge.

The rules, with the words for whatever is wrong, cost 30 us an event; this costs 1 to 3 us and finds no words. It may
doubt a good event, which then costs those 30 us. It must never be sure of a bad one: a test holds it to that.
"""

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple, Self

from interactions.domain.event import InteractionType
from interactions.domain.log_record import AssignmentRecord, LogRecord
from interactions.domain.rules import MAX_AGE, MAX_AHEAD

_MAX_AGE_S: Final = int(MAX_AGE.total_seconds())
_MAX_AHEAD_S: Final = int(MAX_AHEAD.total_seconds())
_MAX_WATCH_TIME_S: Final = 86_400
_MAX_POSITION: Final = 100_000
_MAX_RATING: Final = 10
_MAX_EXPERIMENTS: Final = 20
_MAX_METADATA: Final = 20
_NANOS: Final = 1_000_000_000

_ID: Final = r"[A-Za-z0-9_.:-]{1,128}"
_MAYBE_ID: Final = r"[A-Za-z0-9_.:-]{0,128}"
_UUID: Final = r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"
# All ids of an event in one match: none of them can hold the space between them.
_IDS: Final = re.compile(rf"{_ID} {_ID} (?:{_UUID})? {_MAYBE_ID} {_MAYBE_ID}")
_PAIR: Final = re.compile(rf"{_ID} {_ID}")


class Window(NamedTuple):
    """The whole seconds that lie within the accepted times, made once for all events of a call.

    Args:
        now: Wall time, aware.
        oldest_s: The first of them, in Unix seconds.
        newest_s: The last.
    """

    now: datetime
    oldest_s: int
    newest_s: int

    @classmethod
    def at(cls, now: datetime) -> Self:
        """Returns the window of a moment."""
        second = int(now.timestamp())
        return cls(now, second - _MAX_AGE_S + 1, second + _MAX_AHEAD_S - 1)

    def surely_holds(self, seconds: int, nanos: int) -> bool:
        """Says whether a time is one that is accepted, except for the first and the last second."""
        return self.oldest_s <= seconds <= self.newest_s and 0 <= nanos < _NANOS


def surely_fine(record: LogRecord) -> bool:
    """Says whether an event whose time and type are fine breaks no other rule either; False: perhaps it does."""
    ids = f"{record.user_id} {record.video_id} {record.event_id} {record.feed_session_id} {record.recommendation_id}"
    return (
        _IDS.fullmatch(ids) is not None
        and 0 <= record.watch_time <= _MAX_WATCH_TIME_S
        and (record.position is None or 0 < record.position <= _MAX_POSITION)
        and (record.recommendation_score is None or math.isfinite(record.recommendation_score))
        and _fine_rating(record)
        and _fine_text(record.algorithm, 64)
        and _fine_text(record.model_version, 128)
        and _fine_text(record.served_token, 512)
        and (not record.experiments or _fine_experiments(record.experiments))
        and (not record.metadata or _fine_metadata(record.metadata))
    )


def _fine_rating(record: LogRecord) -> bool:
    if record.rating is None:
        return record.interaction_type is not InteractionType.RATE
    return record.interaction_type is InteractionType.RATE and 0 <= record.rating <= _MAX_RATING


def _fine_text(text: str, max_length: int) -> bool:
    return not text or (len(text) <= max_length and "\x00" not in text)


def _fine_experiments(experiments: tuple[AssignmentRecord, ...]) -> bool:
    return len(experiments) <= _MAX_EXPERIMENTS and all(
        _PAIR.fullmatch(f"{each.experiment} {each.variant}") for each in experiments
    )


def _fine_metadata(metadata: Mapping[str, str]) -> bool:
    return len(metadata) <= _MAX_METADATA and all(
        key and _fine_text(key, 64) and _fine_text(value, 512) for key, value in metadata.items()
    )
