"""How far a reader of the log got, kept in the transaction that also writes what it read."""

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.dialect import upsert
from storage.tables import log_offsets


async def load(connection: AsyncConnection, group: str, topic: str) -> dict[int, int]:
    """Returns the next offset to read, by partition.

    Args:
        connection: An open transaction.
        group: Name of the reader.
        topic: Name of the topic.
    """
    wanted = sa.select(log_offsets.c.partition, log_offsets.c.next_offset).where(
        log_offsets.c.consumer_group == group, log_offsets.c.topic == topic
    )
    return {row.partition: row.next_offset for row in await connection.execute(wanted)}


async def save(connection: AsyncConnection, group: str, topic: str, next_offsets: Mapping[int, int]) -> None:
    """Sets the next offset to read, by partition.

    It may go back: a topic that was made anew starts again, and reading twice is harmless where rows are unique.
    """
    rows = [
        {"consumer_group": group, "topic": topic, "partition": partition, "next_offset": next_offset}
        for partition, next_offset in sorted(next_offsets.items())
    ]
    if rows:
        key = ("consumer_group", "topic", "partition")
        await connection.execute(upsert(log_offsets, connection.dialect.name, key, ("next_offset",)), rows)
