"""What was served, from the database."""

from typing import Final

from bridge.adapters.reading import reading
from bridge.domain.explanation import Decision
from bridge.domain.outcome import Source
from storage.database import Database
from storage.decisions import StoredDecision, read_decision

# Nobody scrolls while he asks why.
_TIMEOUT_S: Final = 1.0


class DatabaseDecisions:
    """The port `Decisions`.

    Args:
        database: The pool.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, recommendation_id: str, user_id: str, video_id: str) -> Decision | None:
        """Reads why a video was on a page; None when that is not known; raises ListError."""
        async with reading(self._database, "decision", _TIMEOUT_S) as connection:
            found = await read_decision(connection, recommendation_id, user_id, video_id)
        return None if found is None else _decision(found)


def _decision(found: StoredDecision) -> Decision:
    return Decision(
        found.position,
        found.final_score or 0.0,
        found.score_components or {},
        Source(found.source_type),
        found.algorithm,
        found.model_version or "",
        found.rejections or {},
        new=found.propensity is not None,
    )
