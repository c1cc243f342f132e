"""Does a step again and again while log or database are not to be had, and knows what it waits for."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import structlog

from eventlog.ports import ConsumeError, PublishError
from interactions.domain.backoff import delay_s
from interactions.sink.ports import Step, StoreUnavailableError, Telemetry
from interactions.system import System

_LOG = structlog.get_logger(__name__)

ResultT = TypeVar("ResultT")


class StoppedError(Exception):
    """The sink was asked to stop while it waited; what is in hand is read again next time."""


class Patience:
    """Tries until it works or the sink is asked to stop.

    Args:
        telemetry: Told of every failed attempt.
        system: Time and chance.
    """

    def __init__(self, telemetry: Telemetry, system: System) -> None:
        self._telemetry = telemetry
        self._system = system
        self._stopping = asyncio.Event()
        self._problems: dict[Step, str] = {}

    @property
    def problem(self) -> str | None:
        """What it waits for; None when it does not wait."""
        return next((f"{step}: {text}" for step, text in self._problems.items()), None)

    @property
    def is_stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Ends every wait."""
        self._stopping.set()

    async def persist(self, step: Step, work: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """Does the work, again and again while log or database are not to be had.

        Raises:
            StoppedError: When it is asked to stop before the work succeeded.
        """
        attempt = 0
        while True:
            try:
                result = await work()
            except (ConsumeError, PublishError, StoreUnavailableError) as error:
                attempt += 1
                self._problems[step] = str(error)
                self._telemetry.step_failed(step)
                _LOG.warning("sink.step_failed", step=step, attempt=attempt, error=str(error))
                await self._pause(delay_s(attempt, self._system.jitter()))
            else:
                self._problems.pop(step, None)
                return result

    async def wait(self, longest_s: float) -> None:
        """Waits, but no longer than until it is asked to stop."""
        if longest_s <= 0:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(longest_s):
                await self._stopping.wait()

    async def _pause(self, pause_s: float) -> None:
        await self.wait(pause_s)
        if self.is_stopping:
            raise StoppedError
