"""Rankings to a Datadog agent over DogStatsD."""

import asyncio

from runtime.dogstatsd import Agent
from scorer.telemetry import RankRecord


class DogStatsdTelemetry:
    """Counts the users ranked for.

    Args:
        address: `host:port`, or the path of a Unix socket.
        tags: Set on everything, such as `env:prod`.
    """

    def __init__(self, address: str, tags: list[str]) -> None:
        self._agent = Agent(address, tags)

    def ranked(self, record: RankRecord) -> None:
        """Counts the users of a call."""
        self._count("known", record.users - record.unknown_users)
        self._count("unknown", record.unknown_users)

    def dropped(self, rankings: int) -> None:
        """Counts those that nobody waited for."""
        self._count("dropped", rankings)

    async def stop(self) -> None:
        """Sends what is left; takes a second at most."""
        await asyncio.to_thread(self._agent.close)

    def _count(self, result: str, users: int) -> None:
        if users:
            self._agent.client.increment("feed.scorer.users", users, tags=[f"result:{result}"])
