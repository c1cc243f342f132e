"""Follows something small that others change in the database, as a whole; the last one read outlives the process."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import structlog

from bridge.ports import Clock, ListError, ListStore
from bridge.telemetry import ListFailed, ListTrouble, Observer

_LOG = structlog.get_logger(__name__)

# A database that does not answer holds up a start no longer than this: what held at the end of the last run holds.
_FIRST_LOOK_S: Final = 1.0

DocumentT = TypeVar("DocumentT")


@dataclass(frozen=True, slots=True)
class Document(Generic[DocumentT]):
    """What is followed.

    Args:
        name: Its name, for metrics and for where it is kept.
        kind: Its type.
        read: Reads it; returns None when it is as it was; raises ListError.
        use: Puts it to use.
        poll_s: Time between two looks, in seconds.
    """

    name: str
    kind: type[DocumentT]
    read: Callable[[], Awaitable[DocumentT | None]]
    use: Callable[[DocumentT], None]
    poll_s: float


class DocumentFollower(Generic[DocumentT]):
    """Reads a document again and again. While that fails, the one that was read last holds.

    Args:
        document: What is followed.
        store: Where it is kept, so that a start without the database has it.
        clock: Time.
        observer: Who is told of troubles.
    """

    def __init__(self, document: Document[DocumentT], store: ListStore, clock: Clock, observer: Observer) -> None:
        self._document = document
        self._store = store
        self._clock = clock
        self._observer = observer
        self._looked: float | None = None
        self._task: asyncio.Task[None] | None = None

    def age_s(self) -> float:
        """Returns how long ago it was read, in seconds; infinite when it never was."""
        return float("inf") if self._looked is None else self._clock.monotonic() - self._looked

    async def start(self) -> None:
        """Takes what held last, reads what holds now if that works, and goes on doing so."""
        await self._load()
        name = self._document.name
        first = asyncio.create_task(self._try_to_look(), name=f"{name}-first")
        await asyncio.wait({first}, timeout=_FIRST_LOOK_S)
        self._task = asyncio.create_task(self._follow(first), name=name)

    async def stop(self) -> None:
        """Ends it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def look(self) -> None:
        """Reads it once; raises ListError."""
        found = await self._document.read()
        self._looked = self._clock.monotonic()
        if found is not None:
            self._document.use(found)
            await self._save(found)

    async def _follow(self, first: asyncio.Task[None]) -> None:
        await first
        while True:
            await self._clock.sleep(self._document.poll_s)
            await self._try_to_look()

    async def _try_to_look(self) -> None:
        try:
            await self.look()
        except ListError:
            self._tell(ListTrouble.NOT_REFRESHED)
        except Exception:  # noqa: BLE001  # a bug here must end neither the start nor the following
            _LOG.exception("bridge.document_failed", what=self._document.name)

    async def _load(self) -> None:
        try:
            saved = await self._store.load(self._document.name, self._document.kind)
        except ListError:
            self._tell(ListTrouble.UNREADABLE)
            return
        if saved is not None:
            self._document.use(saved)

    async def _save(self, found: DocumentT) -> None:
        try:
            await self._store.save(self._document.name, found)
        except ListError:
            self._tell(ListTrouble.UNWRITABLE)

    def _tell(self, trouble: ListTrouble) -> None:
        self._observer.list_failed(ListFailed(self._document.name, trouble))
