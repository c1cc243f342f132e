"""R08: random histories of the retry budget are those of a model that replays everything that ever happened."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bridge.domain.retry import RetryBudget

# Powers of two, so that the budget's floats are exact and need no tolerance: time passes in sixteenths of a second, and
# the model counts in eighths of a token.
RATIO, PER_SECOND, CAPACITY = 0.125, 4.0, 8.0
TICKS_A_SECOND = 16
EIGHTHS_A_TICK = 2
TOKEN = 8
FULL = 8 * TOKEN


class Model:
    """The rules as the design states them, in whole numbers, replayed from the beginning.

    The history holds the tick of each request, and None for each retry.
    """

    def __init__(self) -> None:
        self.history: list[int | None] = []

    def eighths(self) -> int:
        tokens, clock = FULL, 0
        for tick in self.history:
            if tick is None:
                tokens -= TOKEN
            else:
                tokens = min(FULL, tokens + 1 + EIGHTHS_A_TICK * max(0, tick - clock))
                clock = max(clock, tick)
        return tokens


class BudgetHistories(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.tick = 0
        self.model = Model()
        self.budget = RetryBudget(ratio=RATIO, per_second=PER_SECOND, capacity=CAPACITY, now=0.0)
        self.taken = 0

    @rule(ticks=st.sampled_from([1, 4, 16, 256]))
    def time_passes(self, ticks: int) -> None:
        self.tick += ticks

    @rule(requests=st.integers(1, 12))
    def requests_come(self, requests: int) -> None:
        for _ in range(requests):
            self.earn(self.tick)

    @rule(late=st.sampled_from([4, 64]))
    def a_request_with_an_older_arrival_comes(self, late: int) -> None:
        """Arrivals are moved back by what requests have waited, so they need not be in order."""
        self.earn(self.tick - late)

    @rule(retries=st.integers(1, 12))
    def retries_are_wanted(self, retries: int) -> None:
        for _ in range(retries):
            allowed = self.model.eighths() >= TOKEN
            assert self.budget.take() is allowed
            if allowed:
                self.model.history.append(None)
                self.taken += 1

    @invariant()
    def same_tokens(self) -> None:
        assert self.budget.tokens * TOKEN == self.model.eighths()

    @invariant()
    def retries_stay_in_proportion(self) -> None:
        requests = len(self.model.history) - self.taken
        assert self.taken <= CAPACITY + RATIO * requests + PER_SECOND * self.tick / TICKS_A_SECOND

    def earn(self, tick: int) -> None:
        self.budget.earn(tick / TICKS_A_SECOND)
        self.model.history.append(tick)


class TestBudgetHistories(BudgetHistories.TestCase):  # type: ignore[misc, valid-type]
    settings = settings(max_examples=100, stateful_step_count=50)


@pytest.mark.long
class TestManyBudgetHistories(BudgetHistories.TestCase):  # type: ignore[misc, valid-type]
    settings = settings(max_examples=10_000, stateful_step_count=50)
