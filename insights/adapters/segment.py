"""Product analytics at Segment, or whatever speaks its protocol."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import requests
from segment.analytics.client import Client
from segment.analytics.request import APIError, post

from insights.domain.analytics import AnalyticsEvent
from insights.ports import AnalyticsError

# What Segment takes in one call.
_MOST_EVENTS: Final = 100
_MOST_BYTES: Final = 400_000
# A process that is to end waits for a call under way no longer.
_TIMEOUT_S: Final = 5


class SegmentAnalytics:
    """The port `Analytics` with Segment's own library, which makes the messages and calls Segment.

    Its queue is not used: what was given up there would be known only by its size, and its thread holds up an end.

    Args:
        write_key: Whose source it is.
        host: Such as `https://api.segment.io`.
    """

    def __init__(self, write_key: str, host: str) -> None:
        self._write_key = write_key
        self._host = host
        self._maker = Client(write_key, send=False)

    def send(self, events: Sequence[AnalyticsEvent]) -> None:
        """Sends events in batches, one after the other; raises AnalyticsError."""
        for batch in _batches([self._message(event) for event in events]):
            try:
                post(self._write_key, self._host, gzip=True, timeout=_TIMEOUT_S, batch=batch)
            except (APIError, requests.RequestException) as error:
                raise AnalyticsError(_said(error)) from error

    def _message(self, event: AnalyticsEvent) -> dict[str, Any]:
        _, message = self._maker.track(
            event.user_id,
            event.name.value,
            dict(event.properties),
            timestamp=event.time,
            message_id=event.message_id,
        )
        return dict(message)


def _batches(messages: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    size = 0
    for message in messages:
        bytes_of = len(json.dumps(message))
        if batch and (len(batch) == _MOST_EVENTS or size + bytes_of > _MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(message)
        size += bytes_of
    if batch:
        yield batch


def _said(error: Exception) -> str:
    """Returns an error without the address: that may hold what is nobody's business."""
    return f"Segment: {error.status}" if isinstance(error, APIError) else f"Segment: {type(error).__name__}"
