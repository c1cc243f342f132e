"""Follows what editors change by hand, so that it holds within seconds."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final, Protocol

import structlog

from bridge.documents import Document, DocumentFollower
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
from bridge.ports import Clock, CorrectionReader, ListStore
from bridge.telemetry import Observer
from feed.scoring.v1 import scoring_pb2

_LOG = structlog.get_logger(__name__)

CORRECTIONS: Final = "corrections"

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


class CorrectionsFollower(DocumentFollower[ActiveCorrections]):
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
        document = Document(CORRECTIONS, ActiveCorrections, self._read, self._use, policy.poll_s)
        super().__init__(document, store, clock, observer)
        self._reader = reader
        # Of what was read, not of what was kept: a new release may make something else of the same rows.
        self._mark = ""
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

    async def _read(self) -> ActiveCorrections | None:
        active = await self._reader.active(self._mark)
        if active is not None:
            self._mark = active.mark
            if active.senseless:
                _LOG.warning("bridge.corrections_left_out", correction_ids=list(active.senseless[:10]))
        return active

    def _use(self, active: ActiveCorrections) -> None:
        self._active = active
        self._book: Book = book(active.found)
        self._everybodys = corrections_of(self._book.everybody)
        self._made = lru_cache(maxsize=_USERS)(self._make)

    def _make(self, user_id: str) -> Corrections:
        return corrections_of(self._book.of(user_id))


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
