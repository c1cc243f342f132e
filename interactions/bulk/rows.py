"""The rows that bulk loads write, and the ids that make loading them twice harmless."""

import hashlib
import json
import uuid
from datetime import UTC, datetime
from typing import Final

# Names the contents of bulk rows, so that a row has the same event id in every import.
_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "feed:interactions.bulk").bytes
_VARIANT: Final = "89ab"

MAX_WATCH_TIME_S: Final = 86_400.0  # the contract's bound

VIDEO_COLUMNS: Final = (
    *("video_id", "title", "author_id", "duration_s", "tags", "language", "country", "published_at", "is_active"),
)
USER_COLUMNS: Final = ("user_id", "features", "locale", "country", "personalised")
INTERACTION_COLUMNS: Final = (
    *("event_id", "user_id", "video_id", "interaction_type", "watch_time_s", "event_time", "ingest_time"),
    *("feed_session_id", "position", "metadata"),
)

# A row has the values of its columns in order; a JSON column has its text, a time is aware and UTC.
Row = tuple[object, ...]


def event_id(content: str) -> str:
    """Returns the version 5 UUID of a row's content: equal rows are one event.

    `str(uuid.uuid5(…))` by hand, for it costs three times as much and a log has a million rows.
    """
    digest = hashlib.sha1(_NAMESPACE + content.encode(), usedforsecurity=False).hexdigest()
    variant = _VARIANT[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


def json_text(value: object) -> str:
    """Returns the compact JSON text of a value."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def utc_from_ms(epoch_ms: int) -> datetime:
    """Returns the time that is so many milliseconds after 1970."""
    return datetime.fromtimestamp(epoch_ms / 1000, UTC)
