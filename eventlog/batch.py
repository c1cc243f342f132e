"""Records published together, whose outcomes come in one by one."""

import asyncio
from collections.abc import Callable, Sequence

from eventlog.ports import (
    MAX_RECORD_BYTES,
    NotAcknowledgedError,
    Outcome,
    Record,
    RecordTooLargeError,
    size_of,
)

# No character takes more in UTF-8.
_MAX_BYTES_A_CHARACTER = 4


class Batch:
    """The outcomes of some records, filled in by `settle` on the event loop's thread.

    Args:
        records: What is published; a record over the limit is settled at once.
    """

    __slots__ = ("_done", "_open", "_outcomes", "has_failed", "records")

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = records
        self.has_failed = False
        self._open = len(records)
        self._outcomes: list[Outcome | None] = [None] * self._open
        self._done: asyncio.Future[None] | None = None
        for index, record in enumerate(records):
            if len(record.value) + _MAX_BYTES_A_CHARACTER * len(record.key) > MAX_RECORD_BYTES:
                self._settle_if_large(index, size_of(record))

    def __len__(self) -> int:
        """Returns the number of records."""
        return len(self.records)

    @property
    def is_settled(self) -> bool:
        """Whether all outcomes are there."""
        return not self._open

    def unsettled(self) -> Sequence[int]:
        """Returns the indices of the records that have no outcome yet."""
        if self._open == len(self._outcomes):
            return range(self._open)
        return [index for index, outcome in enumerate(self._outcomes) if outcome is None]

    def settle(self, index: int, outcome: Outcome) -> None:
        """Sets the outcome of one record; the first one counts."""
        if self._outcomes[index] is not None:
            return
        self._outcomes[index] = outcome
        self._open -= 1
        if not self._open:
            self._wake()

    def settle_each(self, indices: Sequence[int], outcome: Outcome) -> None:
        """Sets the outcome of some records, each named once; the first one counts."""
        if len(indices) == self._open == len(self._outcomes):
            self._outcomes, self._open = [outcome] * self._open, 0
            self._wake()
            return
        for index in indices:
            self.settle(index, outcome)

    def settle_all(self, outcome: Outcome) -> None:
        """Sets the outcome of every record that has none."""
        self.settle_each(self.unsettled(), outcome)

    def refuse(self, index: int, outcome: Outcome) -> None:
        """Takes note that Kafka will not have a record; here there is no other way."""
        self.has_failed = True
        self.settle(index, outcome)

    async def outcomes(self, timeout_s: float | None = None) -> list[Outcome]:
        """Waits until all are settled; those that are not in time count as not acknowledged.

        Args:
            timeout_s: Longest wait, in seconds; None: as long as it takes.
        """
        if self._open:
            await self._wait(timeout_s)
        if not self._open:
            return [outcome for outcome in self._outcomes if outcome is not None]
        late = NotAcknowledgedError(f"no confirmation within {timeout_s:g} s")
        return [late if outcome is None else outcome for outcome in self._outcomes]

    async def _wait(self, timeout_s: float | None) -> None:
        # A future and a timer: asyncio.wait and asyncio.timeout cost a call four times as much.
        loop = asyncio.get_running_loop()
        done = self._done = loop.create_future()
        timer = None if timeout_s is None else loop.call_later(timeout_s, _finish, done)
        try:
            await done
        finally:
            self._done = None
            if timer is not None:
                timer.cancel()

    def _wake(self) -> None:
        if self._done is not None:
            _finish(self._done)

    def _settle_if_large(self, index: int, size: int) -> None:
        if size > MAX_RECORD_BYTES:
            text = f"the record has {size} bytes; at most {MAX_RECORD_BYTES} are accepted"
            self.settle(index, RecordTooLargeError(text))


class SpooledBatch(Batch):
    """A batch that is not lost when Kafka will not have it.

    Args:
        records: What is published.
        on_refused: Called when Kafka refused a record; returns whether another log takes it.
    """

    __slots__ = ("_on_refused", "is_left", "is_sent")

    def __init__(self, records: Sequence[Record], on_refused: Callable[[], bool]) -> None:
        super().__init__(records)
        self._on_refused = on_refused
        # Whether Kafka was given it, and whether nobody else will be.
        self.is_sent = False
        self.is_left = False

    def refuse(self, index: int, outcome: Outcome) -> None:
        """Has the record taken elsewhere, unless it is at fault itself or there is no other place."""
        self.has_failed = True
        if isinstance(outcome, RecordTooLargeError) or self.is_left or not self._on_refused():
            self.settle(index, outcome)


def _finish(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)
