"""A store in memory; for tests."""

from collections.abc import Collection, Sequence
from typing import Generic, Protocol, TypeVar

from eventlog.ports import Offsets, Partition
from interactions.sink.ports import RowsRefusedError, StoreUnavailableError, Written


class Keyed(Protocol):
    """What is stored once."""

    @property
    def key(self) -> str:
        """The id that nothing else has."""


KeyedT = TypeVar("KeyedT", bound=Keyed)


class MemoryStore(Generic[KeyedT]):
    """A store in memory that keeps the promises of the port.

    Args:
        refused: Keys that it refuses, as a database refuses a value it cannot hold.
    """

    def __init__(self, refused: frozenset[str] = frozenset()) -> None:
        self.events: dict[str, KeyedT] = {}
        self.offsets: dict[Partition, int] = {}
        self.down = False
        self._refused = refused

    async def load_offsets(self, partitions: Collection[Partition]) -> Offsets:
        """Returns what was written last."""
        self._require_up()
        return {partition: offset for partition, offset in self.offsets.items() if partition in partitions}

    async def write(self, events: Sequence[KeyedT], offsets: Offsets) -> Written:
        """Keeps the new events."""
        self._require_up()
        if any(each.key in self._refused for each in events):
            raise RowsRefusedError("told to refuse")
        new = {each.key: each for each in events if each.key not in self.events}
        self.events |= new
        self.offsets |= offsets
        return Written(len(new))

    def _require_up(self) -> None:
        if self.down:
            raise StoreUnavailableError("told to fail")
