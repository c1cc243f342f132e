"""Serving pages and acting on them as the sink writes it, with a clock that is set."""

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from insights.adapters.answers_database import DatabaseAnswers
from insights.adapters.ledger_database import DatabaseLedger, LedgerPolicy
from insights.ports import LedgerState
from interactions.domain.event import InteractionType
from interactions.domain.log_record import LogRecord
from interactions.domain.served_page import Served, read
from interactions.sink.adapters.served_database import DatabaseServedStore
from interactions.sink.adapters.store_database import DatabaseStore
from interactions.sink.ports import StoredEvent
from interactions.system import System
from runtime.served_token import make_tokens
from storage.database import Database
from storage.tables import prediction_outcomes

SECRET = b"k" * 32
WINDOW = timedelta(hours=24)
LATE_AFTER_MS = 150.0
BEGIN = datetime(2025, 9, 1, 12, tzinfo=UTC)


class Books:
    """A ledger, and the tables that it follows.

    Args:
        database: Where both are.
    """

    def __init__(self, database: Database) -> None:
        self.time = BEGIN
        self.database = database
        system = System(now=lambda: self.time, monotonic=lambda: 0.0)
        self._pages = DatabaseServedStore(database, "g", system)
        self._events = DatabaseStore(database, "g")
        self.ledger = DatabaseLedger(database, LedgerPolicy(lambda: [SECRET], WINDOW, LATE_AFTER_MS), lambda: self.time)
        self.answers = DatabaseAnswers(database)

    async def serve(self, *pages: Served) -> None:
        """Does what the sink does with served pages."""
        await self._pages.write(pages, {})

    async def act(self, *events: StoredEvent) -> None:
        """Does what the sink does with interactions."""
        await self._events.write(events, {})

    async def keep(self) -> None:
        """Takes in everything there is, and closes what is due."""
        ledger = self.ledger
        while await ledger.take_pages() or await ledger.take_interactions() or await ledger.take_tracked():
            pass
        while await ledger.tidy():
            pass

    async def state(self) -> LedgerState:
        return await self.answers.state()

    async def rows(self) -> list[dict[str, Any]]:
        """The whole ledger, in order."""
        async with self.database.read() as connection:
            wanted = sa.select(prediction_outcomes).order_by(*prediction_outcomes.primary_key.columns)
            return [dict(row) for row in (await connection.execute(wanted)).mappings()]

    async def outcomes(self) -> dict[tuple[str, int], str]:
        """The outcome of each served video."""
        return {(row["recommendation_id"], row["position"]): row["user_action"] for row in await self.rows()}


def page(name: str, video_ids: Sequence[str] = ("v1", "v2"), time: datetime = BEGIN, **fields: Any) -> Served:
    """A page of user u1 in session s1, unless told otherwise."""
    made = {
        "name": "feed_recommendation_served",
        "recommendationId": name,
        "userId": "u1",
        "feedSessionId": "s1",
        "timestamp": time.isoformat(),
        "algorithm": "lightfm-warp",
        "source": "LIGHTFM",
        "fallbackReason": "NONE",
        "modelVersion": "m1",
        "experiments": [],
        "firstPosition": 1,
        "videoIds": list(video_ids),
        "scores": [1.0] * len(video_ids),
    }
    return read(json.dumps({**made, **fields}).encode())


def event(kind: InteractionType, time: datetime = BEGIN, **fields: Any) -> StoredEvent:
    """An interaction of user u1 with v1 on page r1, unless told otherwise."""
    key = str(uuid.uuid4())
    made = {"user_id": "u1", "video_id": "v1", "watch_time": 0.0, "recommendation_id": "r1", **fields}
    record = LogRecord(interaction_type=kind, timestamp=time.isoformat(), event_id=key, **made)
    return StoredEvent(key, record, time, time)


def token(page_id: str = "r1", user_id: str = "u1", video_id: str = "v1") -> str:
    """What the bridge gave with a video."""
    return make_tokens(SECRET, page_id, user_id, [video_id])[0]
