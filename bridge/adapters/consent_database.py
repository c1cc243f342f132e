"""Who wants to be known, from the database."""

import asyncio
import hashlib
from typing import Final

from bridge.adapters.reading import reading
from bridge.domain.consent import Unpersonalised
from storage.consent import unpersonalised_text
from storage.database import Database

_TIMEOUT_S: Final = 2.0
_MARK_BYTES: Final = 16


class DatabaseConsent:
    """The port `ConsentReader` on the database.

    Args:
        database: A pool.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def unpersonalised(self, mark: str) -> Unpersonalised | None:
        """Returns who gets nothing personal, or None when it is those of this mark; raises ListError."""
        async with reading(self._database, "consent", _TIMEOUT_S) as connection:
            text = await unpersonalised_text(connection)
        # In a thread: a hundred thousand of them take longer than requests should wait.
        found = await asyncio.to_thread(_read, text)
        return None if found.mark == mark else found


def _read(text: str) -> Unpersonalised:
    mark = hashlib.blake2b(text.encode(), digest_size=_MARK_BYTES).hexdigest()
    return Unpersonalised(frozenset(text.split("\n")) if text else frozenset(), mark)
