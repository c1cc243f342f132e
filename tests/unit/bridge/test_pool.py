"""The choice among scorers (design part 4: another scorer first, least loaded)."""

from bridge.domain.breaker import Breaker, BreakerPolicy, MemoryState, State
from bridge.domain.outcome import Verdict
from bridge.fakes import Act, FakeClock, ScriptedScorer
from bridge.pool import Lease, Member, ScorerPool


def pool(count: int) -> ScorerPool:
    clock = FakeClock()
    return ScorerPool(
        [
            Member(ScriptedScorer(f"s{number}", clock, [Act()]), Breaker(BreakerPolicy(), MemoryState()))
            for number in range(count)
        ]
    )


def lease(made: ScorerPool, *tried: str) -> Lease:
    found = made.acquire(tried, 0.0, 0.5)
    assert found is not None
    return found


def target(found: Lease) -> str:
    return found.member.scorer.target


def test_the_least_loaded_scorer_is_chosen() -> None:
    made = pool(3)
    held = [lease(made) for _ in range(3)]
    assert {target(each) for each in held} == {"s0", "s1", "s2"}
    made.release(held[1], Verdict.SUCCESS, 0.0, 0.5)
    assert target(lease(made)) == target(held[1])


def test_a_scorer_that_this_request_tried_comes_last_however_idle() -> None:
    made = pool(2)
    for member in made.members:
        member.in_flight = 5 if member.scorer.target == "s0" else 0
    assert target(lease(made, "s1")) == "s0"
    assert target(lease(made, "s0")) == "s1"


def test_idle_scorers_take_turns() -> None:
    made = pool(2)
    chosen = []
    for _ in range(4):
        held = lease(made)
        chosen.append(target(held))
        made.release(held, Verdict.SUCCESS, 0.0, 0.5)
    assert chosen in (["s0", "s1"] * 2, ["s1", "s0"] * 2)


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
