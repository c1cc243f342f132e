"""The port `KeptSignOuts` on the database."""

from collections.abc import Callable
from datetime import UTC, datetime

from insights.adapters.database import READING, bounded, reading
from storage import sign_outs
from storage.database import Database


class DatabaseSignOuts:
    """Who has signed out, in the database.

    Args:
        writing: A pool, open as long as this is used.
        reading: One that only reads, and not from a replica: who has signed out is out at once.
        now: The wall time.
    """

    def __init__(self, writing: Database, reading: Database, now: Callable[[], datetime]) -> None:
        self._writing = writing
        self._reading = reading
        self._now = now

    async def add(self, session_id: str, ends_time: float) -> None:
        """Keeps that a session has ended."""
        until = datetime.fromtimestamp(ends_time, UTC)
        async with bounded(self._writing.begin(), READING.statement_timeout_s) as connection:
            await sign_outs.add(connection, session_id, until, self._now())

    async def ended(self) -> frozenset[str]:
        """Returns the ids of those that have."""
        async with reading(self._reading, READING.statement_timeout_s) as connection:
            return await sign_outs.ended(connection, self._now())
