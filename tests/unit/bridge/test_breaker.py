"""The breaker engine (design part 4), by tables."""

import itertools
from collections.abc import Sequence

import pytest

from bridge.adapters.breaker_pybreaker import PybreakerState
from bridge.domain.breaker import (
    TRANSITIONS,
    Breaker,
    BreakerPolicy,
    MemoryState,
    Mode,
    Permit,
    State,
    StateHolder,
    Trigger,
)
from bridge.domain.outcome import Verdict

OK, BAD, IGNORED = Verdict.SUCCESS, Verdict.FAILURE, Verdict.IGNORED
POLICY = BreakerPolicy()
MIDDLE = 0.5  # of the jitter: no deviation


@pytest.fixture(params=["memory", "pybreaker"])
def holder(request: pytest.FixtureRequest) -> StateHolder:
    return MemoryState() if request.param == "memory" else PybreakerState("scorer", lambda _old, _new: None)


def state_of(breaker: Breaker) -> State:
    return breaker.state


def permitted(breaker: Breaker, now: float) -> Permit:
    permit = breaker.acquire(now, MIDDLE)
    assert permit is not None
    return permit


def play(breaker: Breaker, verdicts: Sequence[Verdict], start: float = 0.0, took_s: float = 0.0) -> float:
    """One call after another, 10 ms apart; returns the time after the last."""
    now = start
    for verdict in verdicts:
        permit = permitted(breaker, now)
        breaker.record(permit, verdict, now + took_s, MIDDLE)
        now += 0.01
    return now


def opened(holder: StateHolder, policy: BreakerPolicy = POLICY) -> tuple[Breaker, float]:
    """A breaker that has just opened, and when."""
    breaker = Breaker(policy, holder)
    for _ in range(policy.consecutive_failures):
        breaker.record(permitted(breaker, 0.0), BAD, 0.0, MIDDLE)
    assert state_of(breaker) is State.OPEN
    return breaker, 0.0


@pytest.mark.parametrize(
    ("verdicts", "took_s", "expected"),
    [
        pytest.param([BAD] * 9, 0.0, State.CLOSED, id="nine-failures-in-a-row"),
        pytest.param([BAD] * 10, 0.0, State.OPEN, id="ten-failures-in-a-row"),
        pytest.param([BAD] * 9 + [OK] + [BAD] * 9, 0.0, State.CLOSED, id="a-success-between-and-too-few-to-judge"),
        pytest.param([BAD] * 9 + [IGNORED] * 5 + [BAD], 0.0, State.OPEN, id="an-ignored-call-breaks-no-row"),
        pytest.param([BAD, OK] * 9 + [OK], 0.0, State.CLOSED, id="nineteen-calls-are-too-few"),
        pytest.param([BAD, OK] * 10, 0.0, State.OPEN, id="half-of-twenty-failed"),
        pytest.param([BAD] + [OK, OK, BAD] * 15, 0.0, State.CLOSED, id="a-third-failed"),
        pytest.param([OK] * 19, 0.11, State.CLOSED, id="nineteen-slow-calls"),
        pytest.param([OK] * 20, 0.11, State.OPEN, id="twenty-slow-calls"),
        pytest.param([OK] * 60, 0.09, State.CLOSED, id="not-slow"),
        pytest.param([IGNORED] * 100, 0.11, State.CLOSED, id="ignored-calls-say-nothing"),
    ],
)
def test_what_trips_it(verdicts: list[Verdict], took_s: float, expected: State, holder: StateHolder) -> None:
    breaker = Breaker(POLICY, holder)
    play(breaker, verdicts, took_s=took_s)
    assert state_of(breaker) is expected


def test_alternating_failures_open_it() -> None:
    """pybreaker alone counts only consecutive failures: 100,000 alternating calls never opened it (measured)."""
    breaker = Breaker(POLICY, MemoryState())
    calls = 0
    while state_of(breaker) is State.CLOSED:
        play(breaker, [BAD if calls % 2 else OK], start=calls * 0.01)
        calls += 1
    assert calls == POLICY.min_calls


def test_calls_older_than_the_window_are_forgotten() -> None:
    breaker = Breaker(POLICY, MemoryState())
    play(breaker, [BAD, OK] * 9)
    play(breaker, [BAD, OK] * 9, start=10.5)
    assert state_of(breaker) is State.CLOSED


def test_only_the_last_fifty_calls_are_judged() -> None:
    breaker = Breaker(POLICY, MemoryState())
    now = play(breaker, [OK] * 200)
    play(breaker, list(itertools.chain.from_iterable([[BAD] * 5 + [OK]] * 4)) + [BAD] * 4, start=now)
    assert state_of(breaker) is State.CLOSED
    play(breaker, [BAD], start=now + 0.3)
    assert state_of(breaker) is State.OPEN


def test_an_open_breaker_lets_nothing_through_until_its_time_is_over(holder: StateHolder) -> None:
    breaker, now = opened(holder)
    assert [breaker.acquire(now + after_s, MIDDLE) for after_s in (0.0, 0.5, 0.999)] == [None] * 3
    assert breaker.acquire(now + 1.0, MIDDLE) is not None
    assert state_of(breaker) is State.HALF_OPEN


@pytest.mark.parametrize(("jitter", "open_s"), [(0.0, 0.8), (0.5, 1.0), (0.999999, 1.2)])
def test_the_open_time_varies_by_a_fifth(jitter: float, open_s: float) -> None:
    breaker = Breaker(POLICY, MemoryState())
    for _ in range(10):
        breaker.record(permitted(breaker, 0.0), BAD, 0.0, jitter)
    assert breaker.acquire(open_s - 0.001, jitter) is None
    assert breaker.acquire(open_s + 0.001, jitter) is not None


def test_the_open_time_doubles_to_its_maximum_while_probes_fail_and_starts_over_once_closed() -> None:
    breaker, now = opened(MemoryState())
    waited = []
    for _ in range(7):
        opened_at = now
        while (permit := breaker.acquire(now, MIDDLE)) is None:
            now += 0.5
        waited.append(now - opened_at)
        breaker.record(permit, BAD, now, MIDDLE)
    assert waited == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    now = play(breaker, [OK] * 3, start=now + 30.0)
    assert state_of(breaker) is State.CLOSED
    now = play(breaker, [BAD] * 10, start=now)
    assert breaker.acquire(now + 1.0, MIDDLE) is not None


def test_three_probes_at_a_time_and_three_successes_close(holder: StateHolder) -> None:
    breaker, now = opened(holder)
    now += 1.0
    permits = [breaker.acquire(now, MIDDLE) for _ in range(5)]
    assert [permit is not None for permit in permits] == [True, True, True, False, False]
    for place, permit in enumerate(permits[:3]):
        assert permit is not None
        assert state_of(breaker) is State.HALF_OPEN, place
        breaker.record(permit, OK, now + 0.01, MIDDLE)
    assert state_of(breaker) is State.CLOSED


@pytest.mark.parametrize(("verdict", "took_s"), [(BAD, 0.0), (OK, 0.2)], ids=["failed", "slow"])
def test_one_bad_probe_opens_it_again(verdict: Verdict, took_s: float, holder: StateHolder) -> None:
    breaker, now = opened(holder)
    now += 1.0
    first, second = permitted(breaker, now), permitted(breaker, now)
    breaker.record(first, OK, now, MIDDLE)
    breaker.record(second, verdict, now + took_s, MIDDLE)
    assert state_of(breaker) is State.OPEN
    assert breaker.acquire(now + took_s + 1.9, MIDDLE) is None


def test_a_probe_that_never_ends_counts_as_failed() -> None:
    breaker, now = opened(MemoryState())
    now += 1.0
    permitted(breaker, now)
    assert breaker.acquire(now + 1.01, MIDDLE) is None
    assert state_of(breaker) is State.OPEN


def test_a_cancelled_probe_gives_its_place_back() -> None:
    breaker, now = opened(MemoryState())
    now += 1.0
    for _ in range(20):
        breaker.record(permitted(breaker, now), IGNORED, now, MIDDLE)
    assert state_of(breaker) is State.HALF_OPEN


def test_probes_that_are_all_cancelled_do_not_keep_it_half_open() -> None:
    """R07: it always leaves half-open within 2 s under load, and nothing learned does not double the open time."""
    breaker, now = opened(MemoryState())
    now += 1.0
    left = now
    while (permit := breaker.acquire(left, MIDDLE)) is not None:
        breaker.record(permit, IGNORED, left + 0.005, MIDDLE)
        left += 0.01
    assert state_of(breaker) is State.OPEN
    assert left - now <= 2.02
    assert breaker.acquire(left + 1.0, MIDDLE) is not None


def test_the_end_of_a_call_from_before_a_transition_is_no_news() -> None:
    breaker = Breaker(POLICY, MemoryState())
    early = [permitted(breaker, 0.0) for _ in range(20)]
    for permit in early[:10]:
        breaker.record(permit, BAD, 0.0, MIDDLE)
    assert state_of(breaker) is State.OPEN
    breaker.record(early[10], OK, 0.5, MIDDLE)
    assert state_of(breaker) is State.OPEN
    now = 1.0
    permitted(breaker, now)
    for permit in early[11:15]:
        breaker.record(permit, OK, now, MIDDLE)
    assert state_of(breaker) is State.HALF_OPEN
    breaker.record(early[15], BAD, now, MIDDLE)
    assert state_of(breaker) is State.HALF_OPEN


def test_a_scorer_that_returned_is_probed_at_once() -> None:
    breaker, now = opened(MemoryState())
    breaker.returned()
    play(breaker, [OK] * 3, start=now + 0.01)
    assert state_of(breaker) is State.CLOSED


@pytest.mark.parametrize("half_open", [False, True])
def test_what_failed_before_it_returned_does_not_keep_it_out(half_open: bool) -> None:
    """R01: after a long outage the open time is 30 s; one cold call of the new server must not cost as much."""
    breaker, now = opened(MemoryState())
    for _ in range(6):
        now += POLICY.open_max_s
        play(breaker, [BAD], start=now)
    if half_open:
        now += POLICY.open_max_s
        probe = permitted(breaker, now)
        breaker.returned()
        breaker.record(probe, BAD, now, MIDDLE)
    else:
        breaker.returned()
        play(breaker, [BAD], start=now)
    assert state_of(breaker) is State.OPEN
    play(breaker, [OK] * 3, start=now + 2.1)
    assert state_of(breaker) is State.CLOSED


def test_returning_while_closed_changes_nothing() -> None:
    breaker = Breaker(POLICY, MemoryState())
    play(breaker, [BAD] * 9)
    breaker.returned()
    assert state_of(breaker) is State.CLOSED
    play(breaker, [BAD], start=1.0)
    assert state_of(breaker) is State.OPEN


def test_a_hinted_half_open_waits_for_traffic() -> None:
    breaker, now = opened(MemoryState())
    breaker.returned()
    assert breaker.acquire(now + 60.0, MIDDLE) is not None


def test_held_open_it_refuses_every_call_until_it_is_let_go(holder: StateHolder) -> None:
    """The switch of `feed bridge breaker open`: neither time nor a scorer that returned opens the way."""
    breaker = Breaker(POLICY, holder)
    breaker.force(Mode.OPEN)
    breaker.returned()
    assert [breaker.acquire(now, MIDDLE) for now in (0.0, 1.5, 1e6)] == [None] * 3
    assert (state_of(breaker), breaker.mode) == (State.OPEN, Mode.OPEN)


def test_let_go_from_open_it_probes_first(holder: StateHolder) -> None:
    breaker = Breaker(POLICY, holder)
    breaker.force(Mode.OPEN)
    breaker.force(Mode.AUTO)
    assert state_of(breaker) is State.HALF_OPEN
    assert [breaker.acquire(1.0, MIDDLE) is not None for _ in range(4)] == [True, True, True, False]


def test_held_closed_it_permits_every_call_and_none_counts(holder: StateHolder) -> None:
    """The switch of `feed bridge breaker close`; let go, the window is empty, so that old failures do not trip it."""
    breaker = Breaker(POLICY, holder)
    play(breaker, [BAD] * 9)
    breaker.force(Mode.CLOSED)
    now = play(breaker, [BAD] * 100, start=1.0)
    assert (state_of(breaker), breaker.mode) == (State.CLOSED, Mode.CLOSED)
    breaker.force(Mode.AUTO)
    play(breaker, [BAD] * 9, start=now)
    assert state_of(breaker) is State.CLOSED
    play(breaker, [BAD], start=now + 0.1)
    assert state_of(breaker) is State.OPEN


@pytest.mark.parametrize("mode", [Mode.OPEN, Mode.CLOSED])
def test_the_end_of_a_call_from_before_the_switch_is_no_news(mode: Mode, holder: StateHolder) -> None:
    breaker = Breaker(POLICY, holder)
    early = [permitted(breaker, 0.0) for _ in range(20)]
    breaker.force(mode)
    breaker.force(Mode.AUTO)
    stood = state_of(breaker)
    for permit in early:
        breaker.record(permit, BAD, 0.5, MIDDLE)
    assert state_of(breaker) is stood


def test_from_held_open_it_can_be_held_closed_at_once(holder: StateHolder) -> None:
    breaker, now = opened(holder)
    breaker.force(Mode.OPEN)
    breaker.force(Mode.CLOSED)
    play(breaker, [BAD] * 20, start=now)
    assert state_of(breaker) is State.CLOSED


def test_a_switch_forgets_how_often_probes_failed() -> None:
    """Who lets it go has mended something: the open times start over at one second."""
    breaker, now = opened(MemoryState())
    for _ in range(4):
        now += 31.0
        breaker.record(permitted(breaker, now), BAD, now, MIDDLE)
    breaker.force(Mode.CLOSED)
    breaker.force(Mode.AUTO)
    now = play(breaker, [BAD] * 10, start=now)
    assert breaker.acquire(now + 1.0, MIDDLE) is not None


def test_pybreakers_listeners_hear_of_the_switch_only_when_the_state_changes() -> None:
    heard: list[tuple[State, State]] = []
    breaker = Breaker(POLICY, PybreakerState("scorer", lambda old, new: heard.append((old, new))))
    for mode in (Mode.CLOSED, Mode.OPEN, Mode.OPEN, Mode.AUTO, Mode.CLOSED, Mode.AUTO):
        breaker.force(mode)
    assert heard == [
        (State.CLOSED, State.OPEN),
        (State.OPEN, State.HALF_OPEN),
        (State.HALF_OPEN, State.CLOSED),
    ]


def test_every_state_can_be_left_and_every_trigger_has_its_place() -> None:
    assert {state for state, _ in TRANSITIONS} == set(State)
    assert {trigger for _, trigger in TRANSITIONS} == set(Trigger)


def test_pybreakers_listeners_hear_every_transition() -> None:
    heard: list[tuple[State, State]] = []
    breaker, now = opened(PybreakerState("scorer", lambda old, new: heard.append((old, new))))
    play(breaker, [OK] * 3, start=now + 1.0)
    assert heard == [
        (State.CLOSED, State.OPEN),
        (State.OPEN, State.HALF_OPEN),
        (State.HALF_OPEN, State.CLOSED),
    ]
