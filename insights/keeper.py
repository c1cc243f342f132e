"""Keeps the ledger: takes in what comes into the tables, closes windows, and says whether it balances."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Final, Protocol, TypeVar

import structlog

from insights.ports import Answers, Ledger, LedgerState, LedgerUnavailableError

_LOG = structlog.get_logger(__name__)

T = TypeVar("T")

# When nothing came.
_POLL_S: Final = 0.5
# When the database cannot be used.
_RETRY_S: Final = 1.0
# How often windows are closed and the books added up.
_TIDY_EVERY_S: Final = 2.0


class Step(StrEnum):
    """What is done in turn."""

    PAGES = "pages"
    INTERACTIONS = "interactions"
    TRACKED = "tracked"
    TIDY = "tidy"
    STATE = "state"


class Telemetry(Protocol):
    """Takes what happens; must not raise."""

    def caught_up(self) -> None:
        """Takes that everything there was is on the ledger."""

    def added_up(self, state: LedgerState) -> None:
        """Takes what the ledger adds up to."""

    def step_failed(self, step: Step) -> None:
        """Takes one failed attempt."""


class Keeper:
    """Follows the tables until it is stopped; no error ends it.

    Args:
        ledger: The ledger.
        answers: What it adds up to.
        telemetry: Told of every round.
        monotonic: Seconds that never jump.
    """

    def __init__(
        self,
        ledger: Ledger,
        answers: Answers,
        telemetry: Telemetry,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._answers = answers
        self._telemetry = telemetry
        self._monotonic = monotonic
        self._tidy_at_s = 0.0
        self._failure: str | None = "not started"

    def not_ready(self) -> str | None:
        """Says what holds the ledger up; None when it follows."""
        return self._failure

    async def run(self) -> None:
        """Runs until it is cancelled."""
        while True:
            busy = await self.round()
            if not busy:
                await asyncio.sleep(_POLL_S if self._failure is None else _RETRY_S)

    async def round(self) -> bool:
        """Takes in what there is, a step of each; says whether there may be more."""
        try:
            more = await self._round()
        except LedgerUnavailableError as error:
            self._failure = str(error)
            _LOG.warning("insights.ledger_unavailable", error=str(error))
            return False
        except Exception:  # noqa: BLE001  # whatever it is, the next round may do better, and until then readiness says so
            self._failure = "the ledger has failed"
            _LOG.exception("insights.ledger_failed")
            return False
        self._failure = None
        return more

    async def _round(self) -> bool:
        # Pages first: what follows them has to wait for them otherwise.
        pages = await self._step(Step.PAGES, self._ledger.take_pages)
        interactions = await self._step(Step.INTERACTIONS, self._ledger.take_interactions)
        tracked = await self._step(Step.TRACKED, self._ledger.take_tracked)
        if not (pages or interactions or tracked):
            self._telemetry.caught_up()
        closing = False
        if self._monotonic() >= self._tidy_at_s:
            # Nothing is given up while there may be pages that it waits for.
            closing = not pages and await self._step(Step.TIDY, self._ledger.tidy)
            await self._add_up()
            self._tidy_at_s = self._monotonic() + (0.0 if closing else _TIDY_EVERY_S)
        return pages or interactions or tracked or closing

    async def _add_up(self) -> None:
        state = await self._step(Step.STATE, self._answers.state)
        self._telemetry.added_up(state)
        if state.balance:
            _LOG.error("insights.ledger_unbalanced", served=state.served, by_outcome=dict(state.by_outcome))

    async def _step(self, step: Step, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return await work()
        except LedgerUnavailableError:
            self._telemetry.step_failed(step)
            raise
