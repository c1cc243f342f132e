"""The choice among scorers (design part 4: another scorer first, least loaded of two)."""

from collections import Counter

import pytest

from bridge.domain.breaker import Breaker, BreakerPolicy, MemoryState, State
from bridge.domain.outcome import Verdict
from bridge.fakes import Act, FakeClock, ScriptedScorer
from bridge.pool import Lease, Member, ScorerPool

WARM_UP_S = 5.0


def pool(count: int) -> ScorerPool:
    clock = FakeClock()
    members = [
        Member(ScriptedScorer(f"s{number}", clock, [Act()]), Breaker(BreakerPolicy(), MemoryState()))
        for number in range(count)
    ]
    return ScorerPool(members, WARM_UP_S)


def lease(made: ScorerPool, *tried: str, now: float = 0.0, jitter: float = 0.5) -> Lease:
    found = made.acquire(tried, now, jitter)
    assert found is not None
    return found


def target(found: Lease) -> str:
    return found.member.scorer.target


@pytest.mark.parametrize("jitter", [0.0, 0.49, 0.5, 0.99])
def test_of_two_scorers_the_less_loaded_one_is_chosen(jitter: float) -> None:
    made = pool(2)
    made.members[0].in_flight = 3
    made.members[1].in_flight = 2
    assert target(lease(made, jitter=jitter)) == "s1"


def test_of_many_two_are_compared() -> None:
    """Mitzenmacher 2001: the most loaded one is never chosen, every other one may be."""
    made = pool(4)
    for load, member in enumerate(made.members):
        member.in_flight = load
    chosen: Counter[str] = Counter()
    for step in range(12):
        held = lease(made, jitter=step / 12)
        made.release(held, Verdict.SUCCESS, 0.0, 0.5)
        chosen[target(held)] += 1
    assert chosen == {"s0": 6, "s1": 4, "s2": 2}  # of the 12 ordered pairs of different scorers


def test_a_scorer_that_this_request_tried_comes_last_however_idle() -> None:
    made = pool(2)
    for member in made.members:
        member.in_flight = 5 if member.scorer.target == "s0" else 0
    assert target(lease(made, "s1")) == "s0"
    assert target(lease(made, "s0")) == "s1"


def test_one_that_says_it_does_not_serve_comes_after_those_that_do() -> None:
    made = pool(3)
    made.members[1].went()
    assert {target(lease(made, jitter=step / 12)) for step in range(12)} == {"s0", "s2"}
    made.members[1].returned(0.0)
    assert {target(lease(made, now=WARM_UP_S, jitter=step / 12)) for step in range(12)} >= {"s1"}


def test_when_none_serves_one_is_tried_all_the_same() -> None:
    made = pool(1)
    made.members[0].went()
    assert target(lease(made)) == "s0"


def test_a_returned_scorer_comes_to_its_full_load_bit_by_bit() -> None:
    """With its one attempt it counts as loaded as the other one with 9; half way through, as with 3 of 2."""
    made = pool(2)
    made.members[0].returned(100.0)
    warm = made.members[1]
    warm.in_flight = 8
    assert target(lease(made, now=100.0)) == "s1"
    warm.in_flight = 10
    assert target(lease(made, now=100.0)) == "s0"
    assert target(lease(made, now=102.5)) == "s0"
    warm.in_flight = 2
    assert target(lease(made, now=102.5)) == "s1"
    assert target(lease(made, now=105.0)) == "s0"


def test_one_whose_probes_passed_warms_up_too() -> None:
    made = pool(1)
    for _ in range(10):
        made.release(lease(made), Verdict.FAILURE, 0.0, 0.5)
    assert made.acquire((), 0.5, 0.5) is None
    for _ in range(3):
        made.release(lease(made, now=2.0), Verdict.SUCCESS, 2.0, 0.5)
    assert made.members[0].breaker.state is State.CLOSED
    assert made.members[0].since == 2.0


def test_one_that_was_tried_may_not_do() -> None:
    made = pool(2)
    found = made.acquire(["s0"], 0.0, 0.5, untried_only=True)
    assert found is not None
    assert target(found) == "s1"
    assert made.acquire(["s0", "s1"], 0.0, 0.5, untried_only=True) is None
    assert made.members[0].in_flight == 0


def test_a_scorer_behind_an_open_breaker_is_passed_over() -> None:
    made = pool(2)
    for _ in range(10):
        found = made.members[0].breaker.acquire(0.0, 0.5)
        assert found is not None
        made.members[0].breaker.record(found, Verdict.FAILURE, 0.0, 0.5)
    assert made.members[0].breaker.state is State.OPEN
    assert [target(lease(made)) for _ in range(4)] == ["s1"] * 4


def test_untried_ones_are_known() -> None:
    made = pool(2)
    assert made.untried_left(["s0"])
    assert not made.untried_left(["s0", "s1"])
