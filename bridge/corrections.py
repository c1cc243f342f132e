"""Follows what editors change by hand, so that it holds within seconds."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Final, Protocol

import structlog

from bridge.domain.corrections import (
    MOST,
    NO_CORRECTIONS,
    ActiveCorrections,
    Book,
    Correction,
    Corrections,
    CorrectionsPolicy,
    book,
)
from bridge.ports import Clock, CorrectionReader, ListError, ListStore
from bridge.telemetry import ListFailed, ListTrouble, Observer
from feed.scoring.v1 import scoring_pb2

_LOG = structlog.get_logger(__name__)

CORRECTIONS: Final = "corrections"

# A database that does not answer holds up a start no longer than this: what held at the end of the last run holds.
_FIRST_LOOK_S: Final = 1.0

# Users with corrections of their own whose messages are kept; each takes 20 bytes a correction.
_USERS: Final = 1_000


class Corrector(Protocol):
    """Knows what editors changed."""

    def of(self, user_id: str) -> Corrections:
        """Returns what holds for a user."""


class NothingCorrected:
    """Knows nothing."""

    def of(self, user_id: str) -> Corrections:
        """Returns nothing."""
        del user_id
        return NO_CORRECTIONS


class CorrectionsFollower:
    """Knows the corrections in force. While the database cannot be read, those that were read last hold.

    Args:
        reader: Reads them.
        store: Where they are kept, so that a start without the database has them.
        policy: How often they are read.
        clock: Time.
        observer: Who is told of troubles.
    """

    def __init__(
        self, reader: CorrectionReader, store: ListStore, policy: CorrectionsPolicy, clock: Clock, observer: Observer
    ) -> None:
        self._reader = reader
        self._store = store
        self._policy = policy
        self._clock = clock
        self._observer = observer
        self._looked: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._use(ActiveCorrections())

    def of(self, user_id: str) -> Corrections:
        """Returns what holds for a user; always the same object until something changes."""
        return self._made(user_id) if user_id in self._book.users else self._everybodys

    @property
    def count(self) -> int:
        """How many are in force, those of all users together."""
        return len(self._active.found)

    @property
    def senseless(self) -> int:
        """How many are left out because they make no sense."""
        return len(self._active.senseless)

    def age_s(self) -> float:
        """Returns how long ago they were read, in seconds; infinite when they never were."""
        return float("inf") if self._looked is None else self._clock.monotonic() - self._looked

    async def start(self) -> None:
        """Takes what held last, reads what holds now if that works, and goes on doing so."""
        await self._load()
        first = asyncio.create_task(self._try_to_look(), name="corrections-first")
        await asyncio.wait({first}, timeout=_FIRST_LOOK_S)
        self._task = asyncio.create_task(self._follow(first), name="corrections")

    async def stop(self) -> None:
        """Ends it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def look(self) -> None:
        """Reads them once; raises ListError."""
        active = await self._reader.active(self._active.mark)
        self._looked = self._clock.monotonic()
        if active is None:
            return
        if active.senseless:
            _LOG.warning("bridge.corrections_left_out", correction_ids=list(active.senseless[:10]))
        self._use(active)
        await self._save(active)

    def _use(self, active: ActiveCorrections) -> None:
        self._active = active
        self._book: Book = book(active.found)
        self._everybodys = corrections_of(self._book.everybody)
        self._made = lru_cache(maxsize=_USERS)(self._make)

    def _make(self, user_id: str) -> Corrections:
        return corrections_of(self._book.of(user_id))

    async def _follow(self, first: asyncio.Task[None]) -> None:
        await first
        while True:
            await self._clock.sleep(self._policy.poll_s)
            await self._try_to_look()

    async def _try_to_look(self) -> None:
        try:
            await self.look()
        except ListError:
            self._tell(ListTrouble.NOT_REFRESHED)
        except Exception:  # noqa: BLE001  # a bug here must end neither the start nor the following
            _LOG.exception("bridge.corrections_failed")

    async def _load(self) -> None:
        try:
            saved = await self._store.load(CORRECTIONS, ActiveCorrections)
        except ListError:
            self._tell(ListTrouble.UNREADABLE)
            return
        if saved is not None:
            self._use(saved)

    async def _save(self, active: ActiveCorrections) -> None:
        try:
            # Without the mark, so that a start reads them anew.
            await self._store.save(CORRECTIONS, replace(active, mark=""))
        except ListError:
            self._tell(ListTrouble.UNWRITABLE)

    def _tell(self, trouble: ListTrouble) -> None:
        self._observer.list_failed(ListFailed(CORRECTIONS, trouble))


def corrections_of(items: Iterable[Correction]) -> Corrections:
    """Returns corrections ready for use in requests."""
    kept = tuple(items)[:MOST]
    if not kept:
        return NO_CORRECTIONS
    message = scoring_pb2.RankRequest(corrections=[_told(each) for each in kept])
    return Corrections(kept, message.SerializeToString())


def _told(correction: Correction) -> scoring_pb2.ScoreCorrection:
    return scoring_pb2.ScoreCorrection(
        kind=scoring_pb2.CorrectionKind.Value(correction.kind.value),
        value=correction.value,
        video_id=correction.video_id,
        author_id=correction.author_id,
        tag=correction.tag,
        language=correction.language,
        part=correction.part,
    )
