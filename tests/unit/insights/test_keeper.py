"""The loop that keeps the ledger."""

from insights.domain.funnel import Days, Parts
from insights.domain.ledger import Claim, Verdict
from insights.keeper import Keeper, Step
from insights.ports import Acceptance, LedgerState, LedgerUnavailableError, Performance


class Scripted:
    """A ledger that has so many pages to take in, and may be away."""

    def __init__(self, pages: int = 0) -> None:
        self.pages = pages
        self.away = False
        self.open = 0
        self.tidied = 0

    async def take_pages(self) -> bool:
        if self.away:
            raise LedgerUnavailableError("the database cannot be used: told to fail")
        self.pages -= self.pages > 0
        return self.pages > 0

    async def take_interactions(self) -> bool:
        return False

    async def take_tracked(self) -> bool:
        return False

    async def tidy(self) -> bool:
        self.tidied += 1
        self.open -= self.open > 0
        return self.open > 0

    async def track(self, claim: Claim) -> Verdict:
        raise NotImplementedError

    async def acceptance(self, since: object, *, user_id: str, algorithm: str) -> Acceptance:
        raise NotImplementedError

    async def performance(self, since: object) -> list[Performance]:
        raise NotImplementedError

    async def funnel(self, window: object, algorithm: str, split: object) -> Parts:
        raise NotImplementedError

    async def trends(self, window: object, algorithm: str, split: object) -> Days:
        raise NotImplementedError

    async def state(self) -> LedgerState:
        return LedgerState(3, {"pending": 2}, {}, 0)


class Told:
    """What the keeper told."""

    def __init__(self) -> None:
        self.caught_up_times = 0
        self.states: list[LedgerState] = []
        self.failures: list[Step] = []

    def caught_up(self) -> None:
        self.caught_up_times += 1

    def added_up(self, state: LedgerState) -> None:
        self.states.append(state)

    def step_failed(self, step: Step) -> None:
        self.failures.append(step)


async def test_it_goes_on_at_once_while_there_is_more():
    ledger, told = Scripted(pages=2), Told()
    keeper = Keeper(ledger, ledger, told, lambda: 1.0)
    assert [await keeper.round() for _ in range(2)] == [True, False]
    assert (keeper.not_ready(), told.caught_up_times) == (None, 1)


async def test_the_books_are_added_up_now_and_then_and_an_imbalance_is_told():
    ledger, told, time_s = Scripted(), Told(), [1.0]
    keeper = Keeper(ledger, ledger, told, lambda: time_s[0])
    for time_s[0] in (1.0, 1.5, 2.0, 60.0):
        await keeper.round()
    assert (ledger.tidied, [state.balance for state in told.states]) == (2, [1, 1])


async def test_windows_are_closed_at_once_but_not_before_the_pages_are_there():
    ledger, told = Scripted(pages=2), Told()
    ledger.open = 3
    keeper = Keeper(ledger, ledger, told, lambda: 1.0)
    await keeper.round()
    assert ledger.tidied == 0
    keeper = Keeper(ledger, ledger, told, lambda: 1.0)
    assert [await keeper.round() for _ in range(4)] == [True, True, False, False]
    assert ledger.tidied == 3


async def test_a_database_that_is_away_is_told_and_tried_again():
    ledger, told = Scripted(), Told()
    keeper = Keeper(ledger, ledger, told, lambda: 1.0)
    ledger.away = True
    assert await keeper.round() is False
    assert (keeper.not_ready(), told.failures) == ("the database cannot be used: told to fail", [Step.PAGES])
    ledger.away = False
    await keeper.round()
    assert (keeper.not_ready(), told.caught_up_times) == (None, 1)
