"""Long work of a loop that is also writing, done in parts."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final, TypeVar

ItemT = TypeVar("ItemT")

# Some 4 ms of work. Whoever waits for the loop, such as a COPY for its next bytes, waits no longer.
_ITEMS: Final = 500


async def in_turns(items: Sequence[ItemT]) -> AsyncIterator[Sequence[ItemT]]:
    """Yields the items in parts, in their order, and lets the others have their turn after each."""
    for start in range(0, len(items), _ITEMS):
        yield items[start : start + _ITEMS]
        await asyncio.sleep(0)
