"""Follows who does not want to be known: what they do is acknowledged, and kept nowhere."""

import asyncio
from typing import Final, Protocol

import structlog

_LOG = structlog.get_logger(__name__)

# A database that does not answer holds up a start no longer than this.
_FIRST_LOOK_S: Final = 1.0


class ConsentUnavailableError(Exception):
    """The database does not say now who wants to be known. What it said last holds; the sink asks again."""


class ConsentReader(Protocol):
    """Where it stands who wants to be known."""

    async def unpersonalised(self) -> frozenset[str]:
        """Returns who does not; raises ConsentUnavailableError."""


class ConsentWatch:
    """Asks again and again. What it does not know yet, or not any more, the sink keeps out of the database.

    Args:
        reader: Whom it asks.
        poll_s: Time between two looks, in seconds: what changes must hold within 5 s.
    """

    def __init__(self, reader: ConsentReader, poll_s: float) -> None:
        self._reader = reader
        self._poll_s = poll_s
        self._withheld: frozenset[str] = frozenset()
        self._task: asyncio.Task[None] | None = None

    @property
    def count(self) -> int:
        """How many do not."""
        return len(self._withheld)

    def personalised(self, user_id: str) -> bool:
        """Says whether what a user does may be kept."""
        return user_id not in self._withheld

    async def start(self) -> None:
        """Asks once if that works, and goes on doing so."""
        first = asyncio.create_task(self.look(), name="consent-first")
        await asyncio.wait({first}, timeout=_FIRST_LOOK_S)
        self._task = asyncio.create_task(self._follow(first), name="consent")

    async def stop(self) -> None:
        """Ends it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def look(self) -> None:
        """Asks once; what was known holds while there is no answer."""
        try:
            self._withheld = await self._reader.unpersonalised()
        except ConsentUnavailableError as error:
            _LOG.debug("interactions.consent_unknown", error=str(error))
        except Exception:  # noqa: BLE001  # a bug here must end neither the start nor the following
            _LOG.exception("interactions.consent_failed")

    async def _follow(self, first: asyncio.Task[None]) -> None:
        await first
        while True:
            await asyncio.sleep(self._poll_s)
            await self.look()
