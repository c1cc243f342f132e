"""Who wants to be known, from the database."""

import asyncio
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from interactions.consent import ConsentUnavailableError
from storage.consent import unpersonalised_text
from storage.database import Database

_TIMEOUT_S: Final = 2.0


class DatabaseConsent:
    """The port `ConsentReader` on a database of its own.

    Args:
        url: Of the database.
    """

    def __init__(self, url: str) -> None:
        parsed = sa.make_url(url)
        # SQLite would make an empty one.
        self._file = Path(parsed.database) if parsed.drivername == "sqlite" and parsed.database else None
        self._database = Database(url, pool_size=1)

    async def unpersonalised(self) -> frozenset[str]:
        """Returns who does not; raises ConsentUnavailableError."""
        if self._file is not None and not self._file.exists():
            raise ConsentUnavailableError("there is no database yet")
        try:
            async with asyncio.timeout(_TIMEOUT_S), self._database.read() as connection:
                text = await unpersonalised_text(connection)
        except (SQLAlchemyError, OSError) as error:  # a timeout is an OSError too
            raise ConsentUnavailableError(type(error).__name__) from error
        # In a thread: a hundred thousand of them take longer than requests should wait.
        return await asyncio.to_thread(_ids_of, text)

    async def close(self) -> None:
        """Closes the database."""
        await self._database.close()


def _ids_of(text: str) -> frozenset[str]:
    return frozenset(text.split("\n")) if text else frozenset()
