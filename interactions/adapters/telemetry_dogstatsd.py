"""What was taken in, to a Datadog agent over DogStatsD."""

from collections import Counter

from interactions.telemetry import EventsRecorded
from runtime.dogstatsd import AgentTelemetry


class DogStatsdTelemetry(AgentTelemetry):
    """Counts events by type and by what became of them."""

    def events_recorded(self, record: EventsRecorded) -> None:
        """Counts the events of one call."""
        kinds = Counter((result.interaction_type or "UNKNOWN", result.status) for result in record.results)
        for (kind, status), count in kinds.items():
            self._agent.client.increment("feed.interactions.events", count, tags=[f"type:{kind}", f"status:{status}"])
