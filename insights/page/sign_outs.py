"""Sessions that were ended before their time, here or at another process."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog

from insights.page.sign_in_ports import KeptSignOuts
from insights.ports import LedgerUnavailableError

_LOG = structlog.get_logger(__name__)

_EVERY_S: Final = 1.0


class SignOuts:
    """Follows who has signed out until it is stopped; no error ends it.

    Args:
        kept: Where it is kept.
        now: The wall time, Unix seconds.
    """

    def __init__(self, kept: KeptSignOuts, now: Callable[[], float] = time.time) -> None:
        self._kept = kept
        self._now = now
        # None: nobody has looked yet, and whoever comes meanwhile might have signed out.
        self._ended: frozenset[str] | None = None
        # Those of this process, until they are over, and which of them are still to be kept.
        self._own: dict[str, float] = {}
        self._unkept: set[str] = set()

    def has(self, session_id: str) -> bool:
        """Says whether a session was ended."""
        return self._ended is None or session_id in self._ended or session_id in self._own

    async def add(self, session_id: str, ends_time: float) -> None:
        """Ends a session: here at once, at other processes within a second or so.

        Args:
            session_id: Which.
            ends_time: From when on nobody could use it anyhow, Unix seconds.
        """
        self._own[session_id] = ends_time
        self._unkept.add(session_id)
        await self.look()

    async def run(self) -> None:
        """Runs until it is cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_EVERY_S)

    async def look(self) -> None:
        """Keeps what is not kept yet and reads what others have; without the database, what is known stays."""
        now = self._now()
        self._own = {each: until for each, until in self._own.items() if until > now}
        try:
            for session_id in self._unkept & self._own.keys():
                await self._kept.add(session_id, self._own[session_id])
                self._unkept.discard(session_id)
            self._ended = await self._kept.ended()
        except LedgerUnavailableError as error:
            _LOG.warning("page.sign_outs_unavailable", error=str(error))
            self._ended = self._ended or frozenset()
