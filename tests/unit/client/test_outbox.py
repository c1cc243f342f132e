"""Which events are sent when, and what becomes of those that were not answered."""

import math

import pytest

from interactions.client.event import Event
from interactions.client.outbox import Outbox
from interactions.client.settings import TrackerSettings


def event(number: int, size: int = 10) -> Event:
    return Event(f"e{number}", b"x" * size)


def outbox(*added_s: float, **settings: float) -> Outbox:
    box = Outbox(TrackerSettings(**settings))  # type: ignore[arg-type]  # whole where they must be
    for number, now_s in enumerate(added_s):
        box.add(event(number), now_s)
    return box


def ids(events: list[Event]) -> list[str]:
    return [each.event_id for each in events]


@pytest.mark.parametrize(
    ("added_s", "due_s"),
    [
        pytest.param([], math.inf, id="nothing waits"),
        pytest.param([3.0], 8.0, id="one waits five seconds"),
        pytest.param([3.0, 7.9], 8.0, id="the oldest counts"),
        pytest.param([3.0] * 19, 8.0, id="nineteen wait"),
        pytest.param([3.0] * 20, 3.0, id="twenty do not"),
    ],
)
def test_sends_every_five_seconds_or_twenty_events(added_s: list[float], due_s: float) -> None:
    """Seed 003: the client sends every 5 s or 20 items."""
    assert outbox(*added_s).due_at_s() == due_s


def test_a_batch_holds_a_hundred_events_in_their_order() -> None:
    """Issue 5: 100 events a batch."""
    box = outbox(*[0.0] * 250)

    batches = []
    while batch := box.take():
        batches.append(ids(batch))
        box.settled()

    assert [len(batch) for batch in batches] == [100, 100, 50]
    assert [each for batch in batches for each in batch] == [f"e{number}" for number in range(250)]


def test_a_batch_holds_no_more_bytes_than_the_service_reads() -> None:
    """Issue 5: 64 KiB a message."""
    box = Outbox(TrackerSettings())
    for number in range(4):
        box.add(event(number, size=25_000), 0.0)

    assert ids(box.take()) == ["e0", "e1"]


def test_an_event_beyond_that_goes_alone() -> None:
    box = Outbox(TrackerSettings())
    box.add(event(0, size=70_000), 0.0)
    box.add(event(1), 0.0)

    assert ids(box.take()) == ["e0"]


def test_what_got_no_answer_is_sent_again_before_what_came_later() -> None:
    box = outbox(*[0.0] * 3, max_batch_events=2)
    box.take()
    box.add(event(3), 1.0)
    box.put_back()

    assert ids(box.take()) == ["e0", "e1"]
    box.settled()
    assert ids(box.take()) == ["e2", "e3"]


def test_a_call_that_cannot_be_read_is_halved_until_it_is() -> None:
    box = outbox(*[0.0] * 8)
    sizes = []
    for _ in range(4):
        sizes.append(len(box.take()))
        box.put_back(halved=True)
    assert sizes == [8, 4, 2, 1]

    box.take()
    box.settled()
    assert len(box.take()) == 7


def test_a_full_outbox_keeps_the_older_events() -> None:
    """The newest is refused, so that what a spool holds and what was promised first is never dropped."""
    box = outbox(0.0, 0.0, max_waiting=3)
    box.take()  # under way, and still in the way

    assert [box.add(event(2), 0.0), box.add(event(3), 0.0)] == [True, False]
    assert ids(box.clear()) == ["e0", "e1", "e2"]


def test_a_flush_is_for_what_was_there() -> None:
    box = outbox(1.0, 1.0)
    through = box.hurry()
    box.add(event(2), 4.0)
    assert box.due_at_s() == 1.0

    box.take()
    assert box.oldest_number() <= through
    box.settled()
    box.add(event(3), 4.5)
    assert (box.due_at_s(), box.oldest_number()) == (9.5, 4)


def test_what_an_earlier_process_left_is_sent_at_once_whatever_the_bound() -> None:
    box = outbox(max_waiting=2)
    box.restore([event(number) for number in range(3)], 7.0)

    assert (len(box), box.due_at_s()) == (3, 7.0)
    assert not box.add(event(3), 7.0)


def test_95_percent_fewer_calls_than_one_an_event() -> None:
    """Issue 5, "Client": an hour of a service that tracks 5 events a second, in simulated time."""
    box, calls, events = Outbox(TrackerSettings()), 0, 3600 * 5
    for number in range(events):
        now_s = number / 5
        box.add(event(number), now_s)
        if box.due_at_s() <= now_s:
            calls += 1
            box.take()
            box.settled()

    assert len(box) < 20
    assert calls <= 0.05 * events
