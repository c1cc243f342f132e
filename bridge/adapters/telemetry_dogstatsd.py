"""Fallbacks to a Datadog agent over DogStatsD."""

import asyncio
import logging
import time
from typing import Final

from datadog.dogstatsd.base import DogStatsd

from bridge.domain.outcome import FallbackReason, Source
from bridge.domain.throttle import Throttle
from bridge.fallback_events import EVENT_NAME, FallbackEvent
from bridge.telemetry import NullObserver, PageServed

_LIBRARY_LOG: Final = logging.getLogger("datadog.dogstatsd")

# The library warns of every packet that an agent which is not there did not take.
_WARNING_INTERVAL_S: Final = 60.0

# Packets that wait for a slow agent; beyond them the oldest is dropped.
_QUEUE_PACKETS: Final = 100

_STOP_TIMEOUT_S: Final = 1.0


class DogStatsdTelemetry(NullObserver):
    """Counts every fallback and tells the events.

    Nothing here touches the network on the caller's time: counters are summed up, events put into a buffer, and
    threads of the library send both. An agent that is away costs a warning a minute.

    Args:
        address: `host:port`, or the path of a Unix socket.
        tags: Set on everything, such as `env:prod`.
    """

    def __init__(self, address: str, tags: list[str]) -> None:
        host, _, port = address.rpartition(":")
        on_path = address.startswith("/")
        self._client = DogStatsd(
            host=None if on_path else host,
            port=None if on_path else int(port),
            socket_path=address if on_path else None,
            constant_tags=tags,
            disable_telemetry=True,
            disable_aggregation=False,
            disable_buffering=False,
            disable_background_sender=False,
            sender_queue_size=_QUEUE_PACKETS,
        )
        self._tags: dict[tuple[FallbackReason, str, Source], list[str]] = {}
        self._sparse = _Sparse()
        _LIBRARY_LOG.addFilter(self._sparse)

    def page_served(self, record: PageServed) -> None:
        """Counts it, when it is a fallback."""
        if record.fell_back:
            self._client.increment(EVENT_NAME, tags=self._tags_of(record.fallback_reason, record.rung, record.source))

    def fallback(self, event: FallbackEvent) -> None:
        """Sends an event."""
        self._client.event(
            EVENT_NAME,
            _text(event),
            alert_type="warning",
            aggregation_key=event.reason.value,
            tags=self._tags_of(event.reason, event.rung, event.source),
        )

    async def stop(self) -> None:
        """Sends what is left; takes a second at most."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._client.disable_aggregation()
        self._client.disable_buffering = True
        self._client.stop(_STOP_TIMEOUT_S)
        _LIBRARY_LOG.removeFilter(self._sparse)

    def _tags_of(self, reason: FallbackReason, rung: str, source: Source) -> list[str]:
        found = self._tags.get((reason, rung, source))
        if found is None:
            found = [f"reason:{reason.value}", f"rung:{rung}", f"source:{source.value}"]
            self._tags[reason, rung, source] = found
        return found


class _Sparse(logging.Filter):
    """Lets each warning of the library through once a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._throttle: Throttle[logging.LogRecord] = Throttle(_WARNING_INTERVAL_S)

    def filter(self, record: logging.LogRecord) -> bool:
        """Says whether it may be written."""
        return self._throttle.admit(str(record.msg), record, time.monotonic()) is not None


def _text(event: FallbackEvent) -> str:
    fields = {
        "reason": event.reason.value,
        "rung": event.rung,
        "skipped": ",".join(f"{name}:{why.value}" for name, why in event.skipped) or "none",
        "algorithm_wanted": event.algorithm_wanted,
        "feed_session_id": event.feed_session_id,
        "recommendation_id": event.recommendation_id,
        "attempts": event.attempts,
        "elapsed_ms": round(event.elapsed_s * 1000, 3),
        "suppressed": event.suppressed,
    }
    return " ".join(f"{name}={value}" for name, value in fields.items())
