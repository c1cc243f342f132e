"""What follows a failed attempt (design part 4: retries)."""

import pytest

from bridge.domain.outcome import REASONS, VERDICTS, FallbackReason, Outcome, Verdict
from bridge.domain.retry import Again, Failure, GiveUp, RetryBudget, RetryPolicy, after_failure

POLICY = RetryPolicy(max_retries=2, backoff_s=0.005)


@pytest.mark.parametrize(
    ("failure", "attempt", "untried_left", "expected"),
    [
        pytest.param(Failure(Outcome.UNAVAILABLE), 1, False, Again(0.0025), id="unavailable-is-retried"),
        pytest.param(Failure(Outcome.UNAVAILABLE), 2, False, Again(0.005), id="the-backoff-doubles"),
        pytest.param(
            Failure(Outcome.UNAVAILABLE), 3, True, GiveUp(FallbackReason.UNAVAILABLE), id="at-most-two-retries"
        ),
        pytest.param(Failure(Outcome.TIMEOUT), 1, False, Again(0.0025), id="our-own-timeout-is-retried"),
        pytest.param(Failure(Outcome.TIMEOUT), 3, False, GiveUp(FallbackReason.DEADLINE), id="timeouts-only"),
        pytest.param(Failure(Outcome.PUSHED_BACK, 0.02), 1, False, Again(0.02), id="pushback-is-kept-exactly"),
        pytest.param(Failure(Outcome.OVERLOADED), 1, True, GiveUp(FallbackReason.OVERLOAD), id="busy-without-pushback"),
        pytest.param(Failure(Outcome.INTERNAL), 1, True, GiveUp(FallbackReason.UNAVAILABLE), id="a-bug-is-not-retried"),
        pytest.param(Failure(Outcome.REFUSED), 1, True, GiveUp(FallbackReason.UNAVAILABLE), id="a-refusal-is-not"),
        pytest.param(
            Failure(Outcome.MODEL_MISSING), 1, True, Again(0.0, charged=False), id="no-model-here-maybe-elsewhere"
        ),
        pytest.param(
            Failure(Outcome.MODEL_MISSING), 1, False, GiveUp(FallbackReason.MODEL_MISSING), id="no-model-anywhere"
        ),
        pytest.param(
            Failure(Outcome.CONTRACT_MISMATCH),
            1,
            False,
            GiveUp(FallbackReason.CONTRACT_MISMATCH),
            id="another-contract-everywhere",
        ),
    ],
)
def test_what_follows_a_failure(failure: Failure, attempt: int, untried_left: bool, expected: Again | GiveUp) -> None:
    assert after_failure(POLICY, failure, attempt, jitter=0.5, untried_left=untried_left) == expected


def test_full_jitter_spans_from_zero_to_the_backoff() -> None:
    """Full jitter spreads retries of one outage over the whole interval (AWS, "Exponential backoff and jitter")."""
    waits = [
        after_failure(POLICY, Failure(Outcome.UNAVAILABLE), 2, jitter=jitter, untried_left=False)
        for jitter in (0.0, 0.999)
    ]
    assert waits == [Again(0.0), Again(0.00999)]


def test_no_retries_are_made_when_none_are_set() -> None:
    step = after_failure(RetryPolicy(0, 0.005), Failure(Outcome.UNAVAILABLE), 1, jitter=0.5, untried_left=True)
    assert step == GiveUp(FallbackReason.UNAVAILABLE)


def test_every_outcome_has_a_verdict_and_every_failure_a_reason() -> None:
    assert set(VERDICTS) == set(Outcome)
    assert set(REASONS) == set(Outcome) - {Outcome.OK, Outcome.CANCELLED}


def test_the_callers_doing_is_neither_success_nor_failure() -> None:
    assert VERDICTS[Outcome.CANCELLED] is VERDICTS[Outcome.REFUSED] is Verdict.IGNORED


def test_an_outage_is_amplified_by_a_tenth_and_a_little() -> None:
    """R06: at 300 requests a second for a minute, all failing, at most 1.15 times as many attempts."""
    budget = RetryBudget(now=0.0)
    requests = 300 * 60
    retries = 0
    for number in range(requests):
        budget.earn(number / 300)
        retries += sum(budget.take() for _ in range(2))
    assert 0.10 < retries / requests <= 0.15


def test_a_refused_token_costs_nothing() -> None:
    budget = RetryBudget(ratio=0.0, per_second=1.0, capacity=1.0, now=0.0)
    assert budget.take()
    assert not budget.take()
    before = budget.tokens
    assert not budget.take()
    assert budget.tokens == before


def test_time_and_requests_fill_the_budget_up_to_its_capacity() -> None:
    budget = RetryBudget(ratio=0.5, per_second=2.0, capacity=3.0, now=0.0)
    for _ in range(3):
        budget.take()
    budget.earn(0.25)
    assert budget.tokens == pytest.approx(1.0)
    budget.earn(60.0)
    assert budget.tokens == 3.0


def test_a_clock_that_steps_back_gives_no_tokens() -> None:
    budget = RetryBudget(ratio=0.0, per_second=1.0, capacity=5.0, now=10.0)
    for _ in range(5):
        budget.take()
    budget.earn(5.0)
    assert budget.tokens == 0.0
