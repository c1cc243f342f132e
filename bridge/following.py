"""Follows new rows of a table."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic

import structlog

from bridge.domain.overlap import Overlap
from bridge.ports import Clock, ListError, RowReader, RowT
from bridge.telemetry import ListFailed, ListTrouble, Observer

# What is read before the first look must be followed from before that read on.
LEAST_BACKLOG: Final = 1_000

_LOG = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowPolicy:
    """How a table is followed.

    Args:
        backlog: How many rows that are there at the start are read too; LEAST_BACKLOG at least.
        poll_s: Time between two looks for new ones, in seconds.
        rows_a_read: Most rows at a time: they are made into values between two requests.
        pause_s: Time between two reads of one look, in seconds: a long backlog must not slow the requests down.
        overlap_s: How long numbers that were skipped are looked for, in seconds: two writers' rows need not appear in
            the order of their numbers.
    """

    backlog: int = 0
    poll_s: float = 0.5
    rows_a_read: int = 250
    pause_s: float = 0.02
    overlap_s: float = 1.0


class Follower(Generic[RowT]):
    """Hands on each new row once. While the table cannot be read, nothing is handed on.

    Args:
        name: What is followed, for metrics.
        reader: Reads the newest rows.
        policy: How often.
        take: Takes a row; must not wait.
        clock: Time.
        observer: Who is told of troubles.
    """

    def __init__(
        self,
        name: str,
        reader: RowReader[RowT],
        policy: FollowPolicy,
        take: Callable[[RowT], None],
        clock: Clock,
        observer: Observer,
    ) -> None:
        self._name = name
        self._reader = reader
        self._policy = policy
        self._take = take
        self._clock = clock
        self._observer = observer
        self._overlap: Overlap | None = None
        self._looked: float | None = None
        self._task: asyncio.Task[None] | None = None

    def age_s(self) -> float:
        """Returns how long ago the table was last read to its end, in seconds; infinite when it never was."""
        return float("inf") if self._looked is None else self._clock.monotonic() - self._looked

    def start(self) -> None:
        """Begins to follow; a start does not wait for the database."""
        self._task = asyncio.create_task(self._follow(), name=f"follow-{self._name}")

    async def stop(self) -> None:
        """Ends it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def look(self) -> None:
        """Reads what is new, to its end; raises ListError."""
        if self._overlap is None:
            first = await self._reader.newest_row() - max(self._policy.backlog, LEAST_BACKLOG)
            self._overlap = Overlap(max(0, first), self._policy.overlap_s)
        missing = self._overlap.missing()
        if missing:
            self._take_new(await self._reader.rows_of(missing), self._overlap)
        place = self._overlap.floor if missing is None else self._overlap.newest
        most = self._policy.rows_a_read
        while True:
            rows = await self._reader.rows_after(place, most)
            self._take_new(rows, self._overlap)
            if len(rows) < most:  # where rows come without end, a look would have none either
                break
            place = rows[-1].row
            await self._clock.sleep(self._policy.pause_s)  # requests first
        now = self._clock.monotonic()
        self._overlap.looked(now)
        self._looked = now

    def _take_new(self, rows: Sequence[RowT], overlap: Overlap) -> None:
        for row in rows:
            if overlap.is_new(row.row):
                self._take(row)

    async def _follow(self) -> None:
        while True:
            try:
                await self.look()
            except ListError:
                self._observer.list_failed(ListFailed(self._name, ListTrouble.NOT_REFRESHED))
            except Exception:  # noqa: BLE001  # a bug here must not end the following
                _LOG.exception("bridge.following_failed", what=self._name)
            await self._clock.sleep(self._policy.poll_s)
