"""What a Tracker promises to who tracks, whatever the service says."""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from interactions.client import Rejection, Stats, Tracker, TrackerSettings
from interactions.client.event import Event
from interactions.client.fake import FakeTransport, accept
from interactions.client.transport import Answer, Answered, Failed, Result, Unreadable
from tests.polling import wait_for

BOUND_S = 10.0
# Sends at once, and again at once.
EAGER = TrackerSettings(flush_interval_s=0, first_backoff_s=0, longest_backoff_s=0)
# Sends nothing by itself in the time of a test.
PATIENT = TrackerSettings(flush_interval_s=3600, flush_events=1_000_000)


class Told(list[Rejection]):
    """What `on_rejected` was told."""

    def reasons(self) -> list[tuple[str, str, str]]:
        return [(each.event["videoId"], each.field, each.reason) for each in self]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def trackers() -> Iterator[list[Tracker]]:
    made: list[Tracker] = []
    yield made
    for tracker in made:
        tracker.close(0)


def track(tracker: Tracker, *numbers: int, **fields: Any) -> list[str]:
    return [tracker.track(user_id="u1", video_id=f"v{number}", interaction_type="VIEW", **fields) for number in numbers]


def test_sends_twenty_events_in_one_call_and_waits_for_them() -> None:
    transport = FakeTransport()
    with Tracker(transport, settings=TrackerSettings(flush_interval_s=3600)) as tracker:
        ids = track(tracker, 0)
        wait_for(lambda: tracker._process.sender._sleeps_until_s, lambda until_s: until_s > 0)
        ids += track(tracker, *range(1, 20))  # the last of which wakes the thread
        wait_for(lambda: tracker.stats.waiting, lambda waiting: waiting == 0)
        assert transport.calls == [ids]

        track(tracker, *range(19))
        assert tracker.stats == Stats(tracked=39, delivered=20, waiting=19, calls=1)
    assert [len(call) for call in transport.calls] == [20, 19]
    assert transport.closed == 1


def test_sends_after_the_interval_without_company(trackers: list[Tracker]) -> None:
    transport = FakeTransport()
    tracker = Tracker(transport, settings=TrackerSettings(flush_interval_s=0.05))
    trackers.append(tracker)
    (event_id,) = track(tracker, 0)
    wait_for(lambda: transport.calls, bool)
    assert transport.calls == [[event_id]]


def test_events_keep_their_ids_and_their_order_over_failures() -> None:
    transport = FakeTransport(Failed("away"), Failed("away"), Failed("away"))
    with Tracker(transport, settings=EAGER) as tracker:
        ids = track(tracker, *range(250))
        assert tracker.flush(BOUND_S)

    seen = list(dict.fromkeys(event_id for call in transport.calls for event_id in call))
    assert seen == ids
    assert transport.calls[0] == transport.calls[1][: len(transport.calls[0])]
    assert (tracker.stats.delivered, tracker.stats.failed_calls, tracker.stats.last_error) == (250, 3, "")


def test_an_event_of_ones_own_id_and_time(trackers: list[Tracker]) -> None:
    tracker = Tracker(FakeTransport(), settings=PATIENT)
    trackers.append(tracker)
    given = "f47ac10b-58cc-4372-a567-0e02b2c3d479"
    assert track(tracker, 1, event_id=given) == [given]


def test_a_rejected_event_is_told_and_never_sent_again(told: Told) -> None:
    results = [Result(accepted=True), Result(accepted=False, field="videoId", reason="no"), Result(accepted=True)]
    transport = FakeTransport(Answered(results))
    with Tracker(transport, settings=PATIENT, on_rejected=told.append) as tracker:
        track(tracker, 0, 1, 2)
        assert tracker.flush(BOUND_S)
        assert tracker.flush(BOUND_S)

    assert told.reasons() == [("v1", "videoId", "no")]
    assert len(transport.calls) == 1
    assert (tracker.stats.delivered, tracker.stats.rejected) == (2, 1)


def test_one_event_that_breaks_the_call_is_found_and_the_others_go(told: Told) -> None:
    def read(events: Sequence[Event]) -> Answer:
        return Unreadable("broken") if any(b'"v5"' in each.line for each in events) else accept(events)

    transport = FakeTransport(*[read] * 100)
    with Tracker(transport, settings=EAGER, on_rejected=told.append) as tracker:
        track(tracker, *range(12))
        assert tracker.flush(BOUND_S)

    assert told.reasons() == [("v5", "interaction", "broken")]
    assert (tracker.stats.delivered, tracker.stats.rejected) == (11, 1)


def test_a_full_queue_refuses_the_newest_at_once_and_says_so(told: Told, trackers: list[Tracker]) -> None:
    settings = TrackerSettings(flush_interval_s=3600, flush_events=100, max_waiting=2)
    tracker = Tracker(FakeTransport(), settings=settings, on_rejected=told.append)
    trackers.append(tracker)

    track(tracker, 0, 1, 2)

    assert told.reasons() == [("v2", "", "2 events wait for their answer already; the older ones are kept")]
    assert tracker.stats == Stats(tracked=2, refused=1, waiting=2)


def test_what_json_cannot_hold_is_told_and_does_not_raise(told: Told, trackers: list[Tracker]) -> None:
    tracker = Tracker(FakeTransport(), settings=PATIENT, on_rejected=told.append)
    trackers.append(tracker)

    track(tracker, 0, watch_time_s=float("nan"))

    assert [(each.field, each.event) for each in told] == [("interaction", {})]
    assert tracker.stats == Stats(rejected=1)


def test_an_argument_that_there_is_not_raises(trackers: list[Tracker]) -> None:
    tracker = Tracker(FakeTransport(), settings=PATIENT)
    trackers.append(tracker)
    with pytest.raises(TypeError):
        track(tracker, 0, watch_time=3)
    assert tracker.stats == Stats()


def test_a_callback_that_fails_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_rejection: Rejection) -> None:
        raise RuntimeError("mine")

    transport = FakeTransport(Answered([Result(accepted=False)]))
    with caplog.at_level(logging.CRITICAL), Tracker(transport, settings=PATIENT, on_rejected=fail) as tracker:
        track(tracker, 0)
        assert tracker.flush(BOUND_S)
        track(tracker, 1)
        assert tracker.flush(BOUND_S)
    assert len(transport.calls) == 2


def test_a_transport_that_raises_is_a_failed_call() -> None:
    def raise_(_events: Sequence[Event]) -> Answer:
        raise ValueError("mine")

    transport = FakeTransport(raise_)
    with Tracker(transport, settings=EAGER) as tracker:
        track(tracker, 0)
        assert tracker.flush(BOUND_S)
    assert (tracker.stats.failed_calls, tracker.stats.delivered) == (1, 1)


class Stuck(FakeTransport):
    """A call that nobody answers until it is let go."""

    def __init__(self) -> None:
        super().__init__(self.hang)
        self.let_go = threading.Event()
        self.called = threading.Event()

    def hang(self, events: Sequence[Event]) -> Answer:
        self.called.set()
        self.let_go.wait(BOUND_S)
        return accept(events)


def test_track_does_not_wait_for_a_call_under_way() -> None:
    transport = Stuck()
    tracker = Tracker(transport, settings=EAGER)
    track(tracker, 0)
    assert transport.called.wait(BOUND_S)

    track(tracker, *range(1, 100))  # would not return while the call hangs

    assert (tracker.stats.waiting, tracker.flush(0)) == (100, False)
    transport.let_go.set()
    assert tracker.close(BOUND_S)


def test_closing_is_bounded_and_tells_what_had_no_answer(told: Told) -> None:
    transport = Stuck()
    tracker = Tracker(transport, settings=EAGER, on_rejected=told.append)
    track(tracker, 0)
    assert transport.called.wait(BOUND_S)

    assert tracker.close(0.01) is False

    assert [(video, reason.partition(" before")[0]) for video, _, reason in told.reasons()] == [("v0", "no answer")]
    track(tracker, 1)
    assert told.reasons()[1:] == [("v1", "", "the tracker is closed")]
    transport.let_go.set()
    assert tracker.close() is True  # again: there is nothing left to do


def test_with_a_spool_the_next_tracker_delivers_it(told: Told, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    away = FakeTransport(*[Failed("away")] * 1000)
    with Tracker(away, settings=PATIENT, spool=spool, on_rejected=told.append) as tracker:
        ids = track(tracker, *range(3))
        assert tracker.close(0.01) is False
    assert told == []

    transport = FakeTransport()
    with Tracker(transport, settings=PATIENT, spool=spool, on_rejected=told.append) as tracker:
        wait_for(lambda: tracker.stats.delivered, lambda delivered: delivered == 3)
    assert transport.calls == [ids]

    with Tracker(FakeTransport(), settings=PATIENT, spool=spool) as tracker:
        assert tracker.stats == Stats()


def test_a_hint_of_the_service_is_kept_even_by_a_flush(trackers: list[Tracker]) -> None:
    transport = FakeTransport(Failed("full", retry_after_s=60.0))
    tracker = Tracker(transport, settings=EAGER)
    trackers.append(tracker)
    track(tracker, 0)
    wait_for(lambda: tracker.stats.failed_calls, bool)

    assert tracker.flush(0.2) is False
    assert (len(transport.calls), tracker.stats.last_error) == (1, "full")


def test_a_callback_may_track_and_flush(trackers: list[Tracker]) -> None:
    done: list[bool] = []

    def again(_rejection: Rejection) -> None:
        track(tracker, 7)
        done.append(tracker.flush(BOUND_S))  # would wait for its own thread

    transport = FakeTransport(Answered([Result(accepted=False)]))
    tracker = Tracker(transport, settings=EAGER, on_rejected=again)
    trackers.append(tracker)
    track(tracker, 0)

    wait_for(lambda: tracker.stats.delivered, lambda delivered: delivered == 1)
    assert done == [False]


def test_many_threads_lose_and_double_nothing() -> None:
    transport = FakeTransport(*[Failed("away")] * 5)
    with Tracker(transport, settings=EAGER) as tracker:
        threads = [threading.Thread(target=track, args=(tracker, *range(200))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert tracker.flush(BOUND_S)

    assert tracker.stats.delivered == 1600
    assert len({event_id for call in transport.calls for event_id in call}) == 1600


def test_nothing_starts_before_the_first_event() -> None:
    """A pre-forking server makes its Tracker before it forks."""
    before = threading.active_count()
    with Tracker(FakeTransport()):
        assert threading.active_count() == before


@pytest.mark.parametrize("target", ["http://", "ftp://host"])
def test_a_target_that_is_none_is_refused(target: str) -> None:
    with pytest.raises(ValueError, match="must be http://host:port"):
        Tracker(target)


def test_a_flush_of_nothing_is_done_at_once() -> None:
    start = time.monotonic()
    with Tracker(FakeTransport()) as tracker:
        assert tracker.flush()
    assert time.monotonic() - start < BOUND_S
