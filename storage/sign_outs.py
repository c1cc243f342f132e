"""Sessions of the page that were ended before their time."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.dialect import insert_ignore
from storage.tables import page_sign_outs


async def add(connection: AsyncConnection, session_id: str, until: datetime, now: datetime) -> None:
    """Notes that a session was ended, which nobody could use after `until`, and forgets those that are over by now."""
    await connection.execute(sa.delete(page_sign_outs).where(page_sign_outs.c.ends_at <= now))
    row = insert_ignore(page_sign_outs, connection.dialect.name, ["session_id"])
    await connection.execute(row, {"session_id": session_id, "ends_at": until})


async def ended(connection: AsyncConnection, now: datetime) -> frozenset[str]:
    """Returns the ids of those that were ended and could be used still."""
    rows = await connection.scalars(sa.select(page_sign_outs.c.session_id).where(page_sign_outs.c.ends_at > now))
    return frozenset(rows)
