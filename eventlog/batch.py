"""Records published together, whose outcomes come in one by one."""

import asyncio
from collections.abc import Sequence

from eventlog.ports import (
    MAX_RECORD_BYTES,
    NotAcknowledgedError,
    Outcome,
    Record,
    RecordTooLargeError,
    size_of,
)


class Batch:
    """The outcomes of some records, filled in by `settle` on the event loop's thread.

    Args:
        records: What is published; a record over the limit is settled at once.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = records
        self._outcomes: list[Outcome | None] = [None] * len(records)
        self._open = len(records)
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for index, record in enumerate(records):
            if size_of(record) > MAX_RECORD_BYTES:
                too_large = f"the record has {size_of(record)} bytes; at most {MAX_RECORD_BYTES} are accepted"
                self.settle(index, RecordTooLargeError(too_large))

    def unsettled(self) -> list[int]:
        """Returns the indices of the records that have no outcome yet."""
        return [index for index, outcome in enumerate(self._outcomes) if outcome is None]

    def settle(self, index: int, outcome: Outcome) -> None:
        """Sets the outcome of one record; the first one counts."""
        if self._outcomes[index] is not None:
            return
        self._outcomes[index] = outcome
        self._open -= 1
        if not self._open and not self._done.done():
            self._done.set_result(None)

    def settle_all(self, outcome: Outcome) -> None:
        """Sets the outcome of every record that has none."""
        for index in self.unsettled():
            self.settle(index, outcome)

    async def outcomes(self, timeout_s: float) -> list[Outcome]:
        """Waits until all are settled; those that are not in time count as not acknowledged."""
        if self._open:
            await asyncio.wait((self._done,), timeout=timeout_s)
        late = NotAcknowledgedError(f"no confirmation within {timeout_s:g} s")
        return [late if outcome is None else outcome for outcome in self._outcomes]
