"""What `feed interactions tail` says of a record."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from eventlog.ports import StoredRecord
from eventlog.topics import INTERACTIONS
from interactions.domain import log_record
from interactions.domain.event import InteractionEvent, InteractionType
from interactions.tail import Filters, lines

ALL = Filters()


def event(**fields: Any) -> InteractionEvent:
    given: dict[str, Any] = {
        "user_id": "u1",
        "video_id": "v1",
        "interaction_type": InteractionType.VIEW,
        "watch_time_s": 12.5,
        "event_time": datetime(2026, 11, 21, 12, 0, tzinfo=UTC),
        "event_id": "f47ac10b-58cc-4372-a567-0e02b2c3d479",
    }
    return InteractionEvent(**(given | fields))


def record(value: bytes) -> StoredRecord:
    return StoredRecord(INTERACTIONS, 2, 17, "u1", value)


def shown(found: InteractionEvent, filters: Filters = ALL, *, as_json: bool = False) -> list[str]:
    return list(lines(record(log_record.encode(found)), filters, as_json=as_json))


@pytest.mark.parametrize(
    ("found", "line"),
    [
        pytest.param(event(), "2026-11-21T12:00:00.000Z  VIEW     u1  v1  watched 12.5 s  #2:17", id="a view"),
        pytest.param(
            event(interaction_type=InteractionType.COMMENT, watch_time_s=0.0),
            "2026-11-21T12:00:00.000Z  COMMENT  u1  v1  #2:17",
            id="nothing else is known",
        ),
        pytest.param(
            event(
                interaction_type=InteractionType.RATE,
                rating=7.5,
                position=3,
                algorithm="LIGHTFM",
                feed_session_id="s1",
            ),
            "2026-11-21T12:00:00.000Z  RATE     u1  v1  watched 12.5 s  rated 7.5  at 3  by LIGHTFM  session s1  #2:17",
            id="much is",
        ),
        pytest.param(
            event(watch_time_s=0.0, algorithm="\x1b[2J"),
            r"2026-11-21T12:00:00.000Z  VIEW     u1  v1  by '\x1b[2J'  #2:17",
            id="text that would command a terminal",
        ),
    ],
)
def test_a_line_says_what_happened_and_where_it_lies(found: InteractionEvent, line: str) -> None:
    assert shown(found) == [line]


def test_json_is_what_the_log_holds_on_one_line() -> None:
    value = log_record.encode(event(metadata={"text": "a\nb"}))
    (line,) = lines(record(json.dumps(json.loads(value), indent=2).encode()), ALL, as_json=True)
    assert line == value.decode()


@pytest.mark.parametrize(
    ("filters", "is_shown"),
    [
        pytest.param(Filters(user_id="u1"), True, id="this user"),
        pytest.param(Filters(user_id="u2"), False, id="another user"),
        pytest.param(Filters(interaction_type=InteractionType.VIEW), True, id="this type"),
        pytest.param(Filters(interaction_type=InteractionType.LIKE), False, id="another type"),
        pytest.param(Filters("u1", InteractionType.LIKE), False, id="both must fit"),
    ],
)
def test_filters(filters: Filters, is_shown: bool) -> None:
    assert bool(shown(event(), filters)) is is_shown


def test_what_nobody_can_read_is_shown_unless_something_else_was_asked_for() -> None:
    odd = record(b'{"userId":"\x1b"}')
    assert list(lines(odd, Filters(user_id="u1"), as_json=False)) == []
    (line,) = lines(odd, ALL, as_json=False)
    assert (line.startswith("unreadable: "), line.endswith("#2:17"), line.isprintable()) == (True, True, True)
    (as_json,) = lines(odd, ALL, as_json=True)
    assert json.loads(as_json).keys() == {"unreadable", "partition", "offset"}
