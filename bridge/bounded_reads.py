"""Reads that a page may wait for: few at a time, each awaited for next to nothing, none of a store that fails."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from bridge.domain.cool_down import CoolDown
from bridge.domain.ladder import Skip
from bridge.ports import Clock, ListError
from bridge.telemetry import ListFailed, ListTrouble, Observer

_LOG = structlog.get_logger(__name__)

ReadT = TypeVar("ReadT")


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """How a store is read.

    Args:
        reads: Most reads at a time; one beyond them is not begun.
        pause_s: After a failure the store is left alone for this long, in seconds.
        patience: So many late reads in a row count as a failure.
    """

    reads: int = 4
    pause_s: float = 1.0
    patience: int = 3


class BoundedReads(Generic[ReadT]):
    """Reads of one store; they never fail and never keep anybody longer than they may.

    A read that is not awaited any more runs on by itself to its own, longer, time limit: ending it would cost the
    store a connection. It keeps its place among the few at a time, so a hung store is asked no more.

    Args:
        name: What is read, for metrics.
        limits: The limits.
        clock: Time.
        observer: Who is told of troubles.
    """

    def __init__(self, name: str, limits: ReadLimits, clock: Clock, observer: Observer) -> None:
        self._name = name
        self._limits = limits
        self._clock = clock
        self._observer = observer
        self._cool_down = CoolDown(limits.pause_s, limits.patience)
        self._reads: set[asyncio.Task[ReadT | Skip]] = set()
        self._by_key: dict[Hashable, asyncio.Task[ReadT | Skip]] = {}

    def start(self, ask: Callable[[], Awaitable[ReadT]], key: Hashable = None) -> "asyncio.Task[ReadT | Skip] | Skip":
        """Begins a read, or says why there is none now.

        Args:
            ask: Reads; raises ListError.
            key: A read of this key that is under way is returned instead; None: always another read.
        """
        if key is not None and key in self._by_key:
            return self._by_key[key]
        if not self._cool_down.over(self._clock.monotonic()):
            return Skip.UNAVAILABLE
        if len(self._reads) >= self._limits.reads:
            return Skip.BUSY
        read = asyncio.create_task(self._run(ask), name=self._name)
        self._reads.add(read)
        read.add_done_callback(self._reads.discard)
        if key is not None:
            self._by_key[key] = read
            read.add_done_callback(lambda _: self._by_key.pop(key))
        return read

    async def wait(self, read: "asyncio.Task[ReadT | Skip]", longest_s: float) -> ReadT | Skip:
        """Returns what was read, or why nothing; waits so many seconds at most."""
        await asyncio.wait({read}, timeout=longest_s)
        if not read.done():
            self._cool_down.late(self._clock.monotonic())
            return Skip.TIMEOUT
        self._cool_down.answered()
        return read.result()

    async def stop(self) -> None:
        """Ends what is still being read."""
        reads = tuple(self._reads)
        for read in reads:
            read.cancel()
        await asyncio.gather(*reads, return_exceptions=True)

    async def _run(self, ask: Callable[[], Awaitable[ReadT]]) -> ReadT | Skip:
        try:
            return await ask()
        except ListError:
            self._observer.list_failed(ListFailed(self._name, ListTrouble.UNREADABLE))
        except Exception:  # noqa: BLE001  # a bug here must cost what is read, not the page
            _LOG.exception("bridge.read_failed", what=self._name)
        self._cool_down.failed(self._clock.monotonic())
        return Skip.UNAVAILABLE
