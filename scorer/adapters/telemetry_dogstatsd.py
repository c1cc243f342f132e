"""Rankings to a Datadog agent over DogStatsD."""

from runtime.dogstatsd import AgentTelemetry
from scorer.telemetry import RankRecord


class DogStatsdTelemetry(AgentTelemetry):
    """Counts the users ranked for."""

    def ranked(self, record: RankRecord) -> None:
        """Counts the users of a call."""
        self._count("known", record.users - record.unknown_users)
        self._count("unknown", record.unknown_users)

    def dropped(self, rankings: int) -> None:
        """Counts those that nobody waited for."""
        self._count("dropped", rankings)

    def _count(self, result: str, users: int) -> None:
        if users:
            self._agent.client.increment("feed.scorer.users", users, tags=[f"result:{result}"])
