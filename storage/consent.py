"""Who does not want to be known, and who was erased: nothing of theirs is stored."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.dialect import among, insert
from storage.tables import WITHHELD, users

# Any number that no other lock of this database has.
_LOCK: Final = 0x636F6E73


class Withheld(NamedTuple):
    """A user of whom not everything is stored.

    Args:
        personalised: Whether what happens from now on is.
        erased_at: What happened until then is not; None: the user was never erased.
    """

    personalised: bool
    erased_at: datetime | None

    def keeps_out(self, time: datetime) -> bool:
        """Says whether what happened at this time is not stored."""
        return not self.personalised or (self.erased_at is not None and time <= self.erased_at)


def hold() -> sa.Select[Any]:
    """Returns what a PostgreSQL transaction executes before it asks who is withheld, to write rows of the others.

    Whoever is withheld meanwhile waits for the transaction to end, and so finds its rows. SQLite has one writer.
    """
    return sa.select(sa.func.pg_advisory_xact_lock_shared(_LOCK))


def among_withheld(user_ids: Collection[str], dialect_name: str) -> sa.Select[Any]:
    """Returns the query for those of some users who are withheld, by the columns of `Withheld`."""
    row = users.c
    return sa.select(row.user_id, row.personalised, row.erased_at).where(
        WITHHELD, among(row.user_id, user_ids, dialect_name)
    )


def unpersonalised() -> sa.Select[Any]:
    """Returns the query for the ids of all users who get nothing personal."""
    return sa.select(users.c.user_id).where(WITHHELD, ~users.c.personalised)


async def withheld(connection: AsyncConnection, user_ids: Collection[str]) -> dict[str, Withheld]:
    """Returns those of some users of whom not everything is stored; holds until the transaction ends.

    Args:
        connection: An open transaction that writes rows of the others.
        user_ids: Any number.
    """
    return await connection.run_sync(withheld_sync, user_ids)


def withheld_sync(connection: sa.Connection, user_ids: Collection[str]) -> dict[str, Withheld]:
    """Returns the same as `withheld`, for who does not await."""
    if not user_ids:
        return {}
    dialect = connection.dialect.name
    if dialect == "postgresql":
        connection.execute(hold())
    found = connection.execute(among_withheld(user_ids, dialect))
    return {row.user_id: Withheld(row.personalised, row.erased_at) for row in found}


async def unpersonalised_text(connection: AsyncConnection) -> str:
    """Returns the ids of all users who get nothing personal, parted by line feeds, as one text.

    Made by the database, for who looks every other second; in no order that may be relied on, but the same as long as
    nothing changes.
    """
    found = unpersonalised().order_by(users.c.user_id).subquery()
    return await connection.scalar(sa.select(sa.func.aggregate_strings(found.c.user_id, "\n"))) or ""


async def set_consent(connection: AsyncConnection, user_id: str, *, personalised: bool) -> None:
    """Says whether a user is known from now on; safe to repeat.

    Args:
        connection: An open transaction that may write.
        user_id: The user, who need not be there yet.
        personalised: True: served personally; False: trending only, and nothing is stored.
    """
    await _wait_for_writers(connection)
    making = insert(users, connection.dialect.name).values(user_id=user_id, features={}, personalised=personalised)
    changed = {"personalised": personalised}
    await connection.execute(making.on_conflict_do_update(index_elements=["user_id"], set_=changed))


async def mark_erased(connection: AsyncConnection, user_id: str, now: datetime) -> None:
    """Leaves nothing of a user but the id and the time; from then on nothing of the user is stored.

    Args:
        connection: An open transaction that may write.
        user_id: The user, who need not be there.
        now: The time.
    """
    await _wait_for_writers(connection)
    emptied = {"features": {}, "locale": "", "country": "", "personalised": False, "erased_at": now}
    making = insert(users, connection.dialect.name).values(user_id=user_id, **emptied)
    await connection.execute(making.on_conflict_do_update(index_elements=["user_id"], set_=emptied))


def erased() -> sa.Select[Any]:
    """Returns the query for the ids of who was erased, is still marked and has not come back."""
    return unpersonalised().where(users.c.erased_at.is_not(None)).order_by(users.c.user_id)


async def unmark(connection: AsyncConnection, until: datetime) -> list[str]:
    """Takes the marks from who was erased until a time; who stays away is then gone for good. Returns who that is."""
    old = WITHHELD & (users.c.erased_at <= until)
    gone = (
        await connection.scalars(sa.delete(users).where(old, ~users.c.personalised).returning(users.c.user_id))
    ).all()
    back = sa.update(users).where(old).values(erased_at=None).returning(users.c.user_id)
    return [*gone, *(await connection.scalars(back)).all()]


async def _wait_for_writers(connection: AsyncConnection) -> None:
    """Waits until all have ended who asked before who is withheld; those that come wait for this transaction."""
    if connection.dialect.name == "postgresql":
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
