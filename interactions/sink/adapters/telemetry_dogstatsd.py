"""What was brought into the database, to a Datadog agent over DogStatsD."""

from interactions.sink.ports import BatchWritten, Lag, Step
from runtime.dogstatsd import Agent, AgentTelemetry


class DogStatsdTelemetry(AgentTelemetry):
    """Counts records of all topics."""

    def of(self, topic: str) -> "TopicTelemetry":
        """Returns what tells of one topic."""
        return TopicTelemetry(self._agent, topic)


class TopicTelemetry:
    """Tells of one topic.

    Args:
        agent: Is told.
        topic: The topic.
    """

    def __init__(self, agent: Agent, topic: str) -> None:
        self._client = agent.client
        self._tags = [f"topic:{topic}"]

    def batch_written(self, record: BatchWritten) -> None:
        """Counts one batch."""
        counts = {
            "inserted": record.written.inserted,
            "dropped_no_consent": record.written.dropped,
            "duplicate": record.duplicates,
            "dead_lettered": sum(record.dead_lettered.values()),
        }
        for result, count in counts.items():
            if count:
                self._client.increment("feed.sink.records", count, tags=[*self._tags, f"result:{result}"])

    def lag_measured(self, lag: Lag) -> None:
        """Tells the lag as far as it is known."""
        if lag.seconds is not None:
            self._client.gauge("feed.sink.lag", lag.seconds, tags=self._tags)

    def step_failed(self, step: Step) -> None:
        """Counts one failed attempt."""
        self._client.increment("feed.sink.failures", tags=[*self._tags, f"step:{step}"])
