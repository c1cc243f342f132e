"""The ledger must find what it is for: each kind of wrong is done once, and named."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import msgspec
import pytest

from feed.interactions.v1 import interactions_pb2 as pb
from tests.chaos.events import REPEAT_EVERY, Event, Stream, message
from tests.chaos.ledger import Copy, Ledger, Row, in_order, trend

NOW_MS = 1_790_000_000_000
STREAM = Stream("00c0ffee", users=2)
EVENTS: Sequence[Event] = tuple(STREAM.event(number, NOW_MS) for number in range(6))


def copy_of(event: Event, offset: int, partition: int | None = None) -> Copy:
    user = event["userId"]
    place = int(user[-1]) if partition is None else partition
    return Copy(place, offset, user.encode(), msgspec.json.encode(event))


@dataclass(frozen=True)
class World:
    """All is well: six events, each sent a second after the last and acknowledged half a second later."""

    acknowledged: frozenset[int] = frozenset(range(6))
    copies: Sequence[Copy] = tuple(copy_of(event, number) for number, event in enumerate(EVENTS))
    rows: Sequence[Row] = tuple(map(Row, EVENTS))
    ack_after_s: float = 0.5

    def wrong(self) -> list[str]:
        ledger = Ledger()
        for number, event in enumerate(EVENTS):
            ledger.sent(event, float(number))
            if number in self.acknowledged:
                ledger.acknowledged_at(event["eventId"], number + self.ack_after_s, "KAFKA")
        return list(ledger.judge(in_order(self.copies), self.rows).wrong)


WELL = World()


def without(records: Sequence[Copy], number: int) -> tuple[Copy, ...]:
    return tuple(each for index, each in enumerate(records) if index != number)


CHANGED = {**EVENTS[3], "recommendationScore": 0.25}
STRANGER = STREAM.event(99, NOW_MS)

WRONGS: dict[str, tuple[Callable[[], World], list[str]]] = {
    "nothing": (lambda: WELL, []),
    "lost in topic": (lambda: replace(WELL, copies=without(WELL.copies, 3)), ["lost in topic (1)"]),
    "lost in database": (lambda: replace(WELL, rows=WELL.rows[1:]), ["lost in database (1)"]),
    "never acknowledged": (
        lambda: replace(WELL, acknowledged=frozenset(range(1, 6)), copies=WELL.copies[1:], rows=WELL.rows[1:]),
        [],
    ),
    "not acknowledged but there": (lambda: replace(WELL, acknowledged=frozenset(range(5))), []),
    "doubled": (lambda: replace(WELL, rows=[*WELL.rows, WELL.rows[0]]), ["doubled (1)"]),
    "a copy": (lambda: replace(WELL, copies=[*WELL.copies, copy_of(EVENTS[0], 99)]), []),
    "altered in database": (
        lambda: replace(WELL, rows=[*WELL.rows[:3], Row(CHANGED), *WELL.rows[4:]]),
        ["altered (1)"],
    ),
    "altered in topic": (
        lambda: replace(WELL, copies=[*without(WELL.copies, 3), copy_of(CHANGED, 3)]),
        ["altered (1)"],
    ),
    "another key": (
        lambda: replace(WELL, copies=[WELL.copies[0]._replace(key=b"other"), *WELL.copies[1:]]),
        ["altered (1)"],
    ),
    "a stranger in the database": (lambda: replace(WELL, rows=[*WELL.rows, Row(STRANGER)]), ["never sent (1)"]),
    "a stranger in the topic": (
        lambda: replace(WELL, copies=[*WELL.copies, copy_of(STRANGER, 99)]),
        ["never sent (1)"],
    ),
    "garbage in the topic": (
        lambda: replace(WELL, copies=[*WELL.copies, Copy(0, 99, b"", b"{")]),
        ["never sent (1)"],
    ),
    "reordered": (
        lambda: replace(WELL, copies=[*without(WELL.copies, 0), WELL.copies[0]._replace(offset=3)]),
        ["reordered (1)"],
    ),
    "reordered while neither was acknowledged": (
        lambda: replace(WELL, copies=[*without(WELL.copies, 0), WELL.copies[0]._replace(offset=3)], ack_after_s=99),
        [],
    ),
    "a late copy of an early one": (
        lambda: replace(WELL, copies=[*WELL.copies, WELL.copies[0]._replace(offset=99)]),
        [],
    ),
    "a user in two partitions": (
        lambda: replace(WELL, copies=[*without(WELL.copies, 2), copy_of(EVENTS[2], 2, partition=7)]),
        ["reordered (1)"],
    ),
}


@pytest.mark.parametrize("name", WRONGS)
def test_each_kind_of_wrong_is_named(name: str) -> None:
    make, told = WRONGS[name]
    assert make().wrong() == told


def test_without_a_topic_only_the_database_is_judged() -> None:
    ledger = Ledger()
    ledger.sent(EVENTS[0], 0.0)
    ledger.acknowledged_at(EVENTS[0]["eventId"], 1.0, "JOURNAL")
    assert ledger.judge(None, []).lost == 1
    assert ledger.judge(None, [Row(EVENTS[0])]).right


def test_the_first_sending_and_the_first_acknowledgement_count() -> None:
    """An event that is sent again after its acknowledgement was lost may have been first at its first sending."""
    ledger = Ledger()
    for event, sent_s, acknowledged_s in ((EVENTS[0], 0.0, 5.0), (EVENTS[2], 1.0, 2.0), (EVENTS[0], 4.0, 6.0)):
        ledger.sent(event, sent_s)
        ledger.acknowledged_at(event["eventId"], acknowledged_s, "KAFKA")
    copies = [copy_of(EVENTS[2], 0), copy_of(EVENTS[0], 1)]
    assert ledger.judge(copies, [Row(EVENTS[0]), Row(EVENTS[2])]).right


def test_an_order_that_nothing_tested_is_told() -> None:
    ledger = Ledger()
    for event in EVENTS:
        ledger.sent(event, 0.0)
        ledger.acknowledged_at(event["eventId"], 1.0, "KAFKA")
    assert ledger.judge(WELL.copies, WELL.rows).sequential == 0


def test_events_are_those_of_the_contract() -> None:
    """What is sent over gRPC says what the JSON says."""
    for number in range(60):
        event = STREAM.event(number, NOW_MS)
        sent = message(event)
        assert pb.InteractionType.Name(sent.interaction_type) == event["interactionType"]
        assert sent.timestamp.ToJsonString() == event["timestamp"].replace(".000Z", "Z")
        assert sent.HasField("recommendation_score") == ("recommendationScore" in event)
        assert [(each.experiment, each.variant) for each in sent.experiments] == [
            (each["experiment"], each["variant"]) for each in event.get("experiments", ())
        ]


def test_a_view_that_goes_on_is_longer_than_the_one_before_it() -> None:
    stream = replace(STREAM, repeats=True)
    told = [stream.event(number, NOW_MS) for number in range(10 * REPEAT_EVERY)]
    repeats = [
        (before, after)
        for before, after in itertools.pairwise(told)
        if before.get("feedSessionId") and before.get("feedSessionId") == after.get("feedSessionId")
    ]
    assert repeats
    for before, after in repeats:
        assert (before["userId"], before["videoId"]) == (after["userId"], after["videoId"])
        assert after["interactionType"] == "VIEW"
        assert after["watchTime"] > before["watchTime"]


def test_trending_counts_a_view_once_a_session() -> None:
    view = {**EVENTS[0], "interactionType": "VIEW", "watchTime": 2.0, "feedSessionId": "s"}
    rows = [Row(view), Row({**view, "watchTime": 9.0}), Row({**view, "feedSessionId": "t"})]
    assert trend(rows) == pytest.approx(0.2)
    assert trend([Row({**view, "watchTime": 0.0}), Row({**view, "interactionType": "SHARE"})]) == pytest.approx(1.0)
