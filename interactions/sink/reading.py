"""What is in the records of each topic that the sink brings in; pure."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from eventlog.ports import StoredRecord
from eventlog.topics import INTERACTIONS, SERVED
from interactions.domain import log_record, served_page
from interactions.domain.served_page import Served
from interactions.sink.ports import StoredEvent


def read_event(record: StoredRecord) -> StoredEvent:
    """Returns the event in a record of `feed.interactions.v1`; raises UnreadableError."""
    event, event_time = log_record.read(record.value)
    taken = datetime.fromtimestamp(record.append_time_ms / 1000, UTC)
    return StoredEvent(event.event_id.lower(), event, event_time, taken)


def read_served(record: StoredRecord) -> Served:
    """Returns the page in a record of `feed.served.v1`; raises UnreadableError."""
    return served_page.read(record.value)


# Each returns something with a `key` that tells what is new from what is known.
READERS: Final[Mapping[str, Callable[[StoredRecord], Any]]] = {INTERACTIONS: read_event, SERVED: read_served}
