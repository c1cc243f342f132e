"""The quick check never takes what the rules refuse, and what it takes is written as ever."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import event as note
from hypothesis import given
from hypothesis import strategies as st

from feed.common.v1 import common_pb2
from feed.interactions.v1 import interactions_pb2 as pb
from interactions import messages
from interactions.domain import log_record
from interactions.domain.event import Refusal
from interactions.domain.log_record import LogRecord
from interactions.domain.quick_check import Window, surely_fine

NOW = datetime(2025, 9, 1, 12, 0, 0, 500_000, tzinfo=UTC)
NOW_S = int(NOW.timestamp())
DAY_S = 86_400
WINDOW = Window.at(NOW)
ID = "f47ac10b-58cc-4372-a567-0e02b2c3d479"

EDGES_S = (NOW_S - 30 * DAY_S, NOW_S + 300)
IDS = ["", " ", "a b", "a\n", "\u00e9", "a\x00", "a/b", "x" * 128, "x" * 129, "Az09_.:-"]
TEXTS = ["", "a", "\u65e5", "\x00", "a\x00", "a" * 64, "a" * 65, "a" * 128, "a" * 129, "a" * 512, "a" * 513]
NUMBERS = [0.0, -0.0, -1e-9, 1e-7, 10.0, 10.1, 1e16, 86_400.0, 86_400.1, math.nan, math.inf, -math.inf]
ONE = common_pb2.ExperimentAssignment(experiment="e", variant="v")

# Around every limit.
EDGES: dict[str, list[Any]] = {
    "time": [
        None,
        *((edge + step, nanos) for edge in EDGES_S for step in (-1, 0, 1) for nanos in (0, 500_000_000, 500_000_001)),
        *((NOW_S, nanos) for nanos in (-1, 999_999_999, 1_000_000_000, 2**31 - 1)),
        *((time_s, 0) for time_s in (0, -(2**63), 2**63 - 1)),
    ],
    "user_id": IDS,
    "video_id": IDS,
    "interaction_type": [-1, *range(11)],
    "event_id": ["", ID, ID.upper(), ID[:-1], ID + " ", ID + "0", "{" + ID + "}", ID.replace("-", ""), "x" + ID[1:]],
    "watch_time_s": NUMBERS,
    "feed_session_id": IDS,
    "recommendation_id": IDS,
    "position": [-1, 0, 1, 100_000, 100_001],
    "algorithm": TEXTS,
    "recommendation_score": NUMBERS,
    "model_version": TEXTS,
    "experiments": [
        *([ONE] * count for count in (1, 19, 20, 21)),
        *([ONE, common_pb2.ExperimentAssignment(experiment=each, variant="v")] for each in IDS),
        *([common_pb2.ExperimentAssignment(experiment="e", variant=each)] for each in IDS),
    ],
    "rating": NUMBERS,
    "served_token": TEXTS,
    "metadata": [
        *({str(number): "" for number in range(count)} for count in (1, 19, 20, 21)),
        *({each: "v"} for each in TEXTS),
        *({"k": each} for each in TEXTS),
    ],
}


def interaction(time: tuple[int, int] | None, **fields: Any) -> pb.Interaction:
    made = pb.Interaction(**fields)
    if time is not None:
        made.timestamp.seconds, made.timestamp.nanos = time
    return made


def judged_alike(message: pb.Interaction) -> bool:
    """Asserts that a message is judged as the rules do, and written as ever; returns whether it is taken."""
    found, judged = messages.read(message, WINDOW), messages._judged(message, NOW)
    if isinstance(judged, Refusal):
        assert found == judged
        return False
    assert isinstance(found, LogRecord)
    assert log_record.write(found, ID) == log_record.write(judged, ID)
    return True


@pytest.mark.parametrize("rated", [False, True])
@pytest.mark.parametrize("name", EDGES)
def test_around_every_limit_it_takes_what_the_rules_take_and_writes_the_same(name: str, rated: bool) -> None:
    base: dict[str, Any] = {"time": (NOW_S, 0), "user_id": "u", "video_id": "v", "interaction_type": pb.VIEW}
    if rated:
        base |= {"interaction_type": pb.RATE, "rating": 5.0}

    taken = {judged_alike(interaction(**(base | {name: value}))) for value in EDGES[name]}

    assert taken == ({False} if name == "rating" and not rated else {False, True})


good_ids = st.text("abXYZ019_.:-", min_size=1, max_size=12) | st.just("x" * 128)
good_texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=12)
assignments = st.builds(common_pb2.ExperimentAssignment, experiment=good_ids, variant=good_ids)
good = st.fixed_dictionaries(
    {
        "time": st.tuples(st.integers(EDGES_S[0] + 1, EDGES_S[1] - 1), st.integers(0, 999_999_999)),
        "user_id": good_ids,
        "video_id": good_ids,
        "interaction_type": st.sampled_from([pb.VIEW, pb.CLICK, pb.SKIP]),
    },
    optional={
        "event_id": st.uuids().map(str),
        "watch_time_s": st.floats(0, 86_400),
        "feed_session_id": good_ids,
        "recommendation_id": good_ids,
        "position": st.integers(1, 100_000),
        "algorithm": good_texts,
        "recommendation_score": st.floats(allow_nan=False, allow_infinity=False),
        "model_version": good_texts,
        "experiments": st.lists(assignments, max_size=3),
        "served_token": good_texts,
        "metadata": st.dictionaries(good_texts, good_texts, max_size=3),
    },
)
anything = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in EDGES.items()})
some_off = st.builds(
    lambda fields, other, names: fields | {name: other[name] for name in names},
    good,
    anything,
    st.sets(st.sampled_from(sorted(EDGES)), max_size=2),
)


@given(good | some_off | anything)
def test_what_it_takes_the_rules_take_and_write_the_same(fields: dict[str, Any]) -> None:
    """Fine by the quick check means: no rule of the proto files or the clock is broken, and not a byte differs."""
    note("taken" if judged_alike(interaction(**fields)) else "refused")


def full(**fields: Any) -> pb.Interaction:
    given_fields: dict[str, Any] = {
        "event_id": ID.upper(),
        "user_id": "u1",
        "video_id": "v:1_2.3-4",
        "interaction_type": pb.RATE,
        "watch_time_s": 12.5,
        "feed_session_id": "s1",
        "recommendation_id": "r1",
        "position": 3,
        "algorithm": "lightfm",
        "recommendation_score": -0.25,
        "model_version": "m1",
        "experiments": [common_pb2.ExperimentAssignment(experiment="e1", variant="a")],
        "rating": 0.0,
        "served_token": "t1",
        "metadata": {"screen": "\u65e5\u672c \u200d"},
    }
    return interaction((NOW_S, 123_456_789), **(given_fields | fields))


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(full(), id="everything"),
        pytest.param(
            interaction((NOW_S, 0), user_id="u", video_id="v", interaction_type=pb.VIEW), id="only what must be there"
        ),
        pytest.param(full(user_id="u" * 128, algorithm="a" * 64, served_token="t" * 512), id="as long as may be"),
        pytest.param(
            interaction((NOW_S - 30 * DAY_S + 1, 0), user_id="u", video_id="v", interaction_type=pb.SKIP),
            id="30 days old",
        ),
    ],
)
def test_good_events_do_not_need_the_rules(message: pb.Interaction) -> None:
    """Else all that the quick check is for, its speed, would be lost in silence."""
    found = messages.read(message, WINDOW)

    assert isinstance(found, LogRecord)
    assert WINDOW.surely_holds(message.timestamp.seconds, message.timestamp.nanos)
    assert surely_fine(found)


def test_the_bytes_on_the_topic() -> None:
    """The contract's golden bytes: other systems read this."""
    found = messages.read(full(), WINDOW)
    assert isinstance(found, LogRecord)
    assert log_record.write(found, ID) == (
        b'{"userId":"u1","videoId":"v:1_2.3-4","interactionType":"RATE","watchTime":12.5,'
        b'"timestamp":"2025-09-01T12:00:00.123Z","eventId":"f47ac10b-58cc-4372-a567-0e02b2c3d479",'
        b'"feedSessionId":"s1","recommendationId":"r1","position":3,"algorithm":"lightfm",'
        b'"recommendationScore":-0.25,"modelVersion":"m1","experiments":[{"experiment":"e1","variant":"a"}],'
        b'"rating":0.0,"servedToken":"t1","metadata":{"screen":"\xe6\x97\xa5\xe6\x9c\xac \xe2\x80\x8d"}}'
    )


@pytest.mark.parametrize("time_s", [-(2**63), 2**63 - 1, 10**12])
def test_a_time_that_no_calendar_holds_is_refused_with_the_range(time_s: int) -> None:
    found = messages.read(interaction((time_s, 0), user_id="u", video_id="v", interaction_type=pb.VIEW), WINDOW)

    assert isinstance(found, Refusal)
    assert [rule.field for rule in found.broken] == ["timestamp"]
    assert found.broken[0].reason == "must be from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999999Z"


def test_the_window_is_of_whole_seconds_within_the_accepted_times() -> None:
    assert (WINDOW.oldest_s, WINDOW.newest_s) == (
        int((NOW - timedelta(days=30)).timestamp()) + 1,
        int((NOW + timedelta(minutes=5)).timestamp()) - 1,
    )
