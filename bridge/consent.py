"""Follows who wants to be known and who does not, and forgets those who do not."""

from collections.abc import Callable
from typing import Final

from bridge.documents import Document, DocumentFollower
from bridge.domain.consent import Unpersonalised
from bridge.ports import Clock, ConsentReader, ListStore
from bridge.telemetry import Observer

CONSENT: Final = "consent"


class ConsentFollower(DocumentFollower[Unpersonalised]):
    """Knows who does not. While the database cannot be read, what was read last holds.

    Args:
        reader: Reads them.
        store: Where they are kept, so that a start without the database has them.
        poll_s: Time between two looks, in seconds: what changes must hold within 5 s.
        forget: Takes a user out of the memory of this process.
        clock: Time.
        observer: Who is told of troubles.
    """

    def __init__(  # each by its name
        self,
        reader: ConsentReader,
        store: ListStore,
        poll_s: float,
        forget: Callable[[str], None],
        clock: Clock,
        observer: Observer,
    ) -> None:
        super().__init__(Document(CONSENT, Unpersonalised, self._read, self._use, poll_s), store, clock, observer)
        self._reader = reader
        self._forget = forget
        self._known = Unpersonalised()
        # Of what was read, not of what was kept.
        self._mark = ""
        self._new: frozenset[str] = frozenset()

    @property
    def count(self) -> int:
        """How many do not."""
        return len(self._known.user_ids)

    def personalised(self, user_id: str) -> bool:
        """Says whether a user may be served personally."""
        return user_id not in self._known.user_ids

    async def look(self) -> None:
        """Reads it once; raises ListError."""
        before, self._new = self._new, frozenset()
        await super().look()
        # What was on its way into memory when the last look forgot it is there by now.
        for user_id in before:
            self._forget(user_id)

    async def _read(self) -> Unpersonalised | None:
        found = await self._reader.unpersonalised(self._mark)
        if found is not None:
            self._mark = found.mark
        return found

    def _use(self, found: Unpersonalised) -> None:
        self._new = found.user_ids - self._known.user_ids
        self._known = found
        for user_id in self._new:
            self._forget(user_id)
