"""Users' own lists from the database."""

from typing import Final

from bridge.adapters.lists_database import facts_of
from bridge.adapters.reading import reading
from bridge.domain.personal import PersonalRow, UserList
from storage.database import Database
from storage.user_recommendations import load_user_recommendations

# Nobody waits this long for a list; it ends reads of a database that hangs.
_LONGEST_READ_S: Final = 1.0


class DatabaseUserLists:
    """The port `UserLists` on the database.

    Args:
        database: A pool with a connection for each read at a time: waiting for one would make the read late.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, user_id: str, limit: int, *, with_facts: bool) -> UserList:
        """Reads a user's list; only active videos.

        Raises:
            ListError: When the database does not answer.
        """
        async with reading(self._database, "user list", _LONGEST_READ_S) as connection:
            rows, found = await load_user_recommendations(connection, user_id, limit, with_videos=with_facts)
        return UserList([PersonalRow(*row) for row in rows], facts_of(found))
