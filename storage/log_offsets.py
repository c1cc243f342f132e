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
        group: Name of the readers that share the partitions.
        topic: Name of the topic.
    """
    wanted = sa.select(log_offsets.c.partition, log_offsets.c.next_offset).where(
        log_offsets.c.consumer_group == group, log_offsets.c.topic == topic
    )
    return {row.partition: row.next_offset for row in await connection.execute(wanted)}


async def save(connection: AsyncConnection, group: str, topic: str, next_offsets: Mapping[int, int]) -> None:
    """Sets the next offset to read, by partition; belongs in the transaction that writes what was read before it.

    It may go back, when a topic that was made anew starts again, or when a reader that lost the partition finishes
    its last batch: the next one reads again what is there already, which is harmless where rows are unique. To keep
    the larger offset instead would lose the beginning of a topic made anew.
    """
    rows = [
        {"consumer_group": group, "topic": topic, "partition": partition, "next_offset": next_offset}
        for partition, next_offset in sorted(next_offsets.items())
    ]
    if rows:
        key = ("consumer_group", "topic", "partition")
        await connection.execute(upsert(log_offsets, connection.dialect.name, key, ("next_offset",)), rows)
