"""What was taken in, to a Datadog agent over DogStatsD."""

import asyncio
from collections import Counter

from interactions.telemetry import EventsRecorded
from runtime.dogstatsd import Agent


class DogStatsdTelemetry:
    """Counts events by type and by what became of them.

    Args:
        address: `host:port`, or the path of a Unix socket.
        tags: Set on everything, such as `env:prod`.
    """

    def __init__(self, address: str, tags: list[str]) -> None:
        self._agent = Agent(address, tags)

    def events_recorded(self, record: EventsRecorded) -> None:
        """Counts the events of one call."""
        kinds = Counter((result.interaction_type or "UNKNOWN", result.status) for result in record.results)
        for (kind, status), count in kinds.items():
            self._agent.client.increment("feed.interactions.events", count, tags=[f"type:{kind}", f"status:{status}"])

    async def stop(self) -> None:
        """Sends what is left; takes a second at most."""
        await asyncio.to_thread(self._agent.close)
