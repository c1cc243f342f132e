"""What is known of users, from the database."""

from collections.abc import Sequence
from typing import Final

from bridge.adapters.reading import bounded
from storage import user_features
from storage.database import Database

# Nobody waits this long; it ends reads of a database that hangs.
_LONGEST_READ_S: Final = 2.0


class DatabaseUsers:
    """The port `UserReader` on the database.

    Args:
        database: A pool with a connection for each read at a time.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def words(self, user_id: str, locale: str, country: str) -> Sequence[str]:
        """Reads what is known of a user; what the request says goes before it. Raises ListError."""
        async with bounded("user features", _LONGEST_READ_S):
            known = await user_features.of_user(self._database, user_id)
        return user_features.words(known.features, locale or known.locale, country or known.country)
