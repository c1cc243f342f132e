"""How runs go, to a Datadog agent over DogStatsD."""

from datetime import timedelta
from typing import Final

from runtime.dogstatsd import Agent
from storage.trainings import RunStatus, TrainingStatus
from trainer.domain.runs import JOB_NAME

# Of the metrics of a run those that are worth a line in a dashboard; the others are in the register.
_TOLD_METRICS: Final = ("ndcg_at_10", "popularity_ndcg_at_10", "live_ndcg_at_10", "recall_at_50", "coverage_at_10")

_ALERT_TYPES: Final = {TrainingStatus.REFUSED: "warning", TrainingStatus.FAILED: "error"}


class DogStatsdRunTelemetry:
    """Tells an agent of beats, of runs that ended, and of nights without a good model.

    Args:
        address: `host:port`, or the path of a Unix socket.
        tags: Set on everything, such as `env:prod`.
    """

    def __init__(self, address: str, tags: list[str]) -> None:
        self._agent = Agent(address, [*tags, f"job:{JOB_NAME}"])

    def beat(self) -> None:
        """Counts a beat of a run."""
        self._agent.client.increment("feed.trainer.run.heartbeats")

    def ended(self, status: RunStatus) -> None:
        """Counts a run, tells how long it took and what it measured; of one that did not succeed also an event."""
        client, state = self._agent.client, [f"state:{status.status.value}"]
        client.increment("feed.trainer.runs", tags=state)
        client.timing("feed.trainer.run.duration", 1000 * (status.elapsed_s or 0.0), tags=state)
        for step, seconds in status.durations_s.items():
            client.timing("feed.trainer.step.duration", 1000 * seconds, tags=[f"step:{step.replace(' ', '_')}"])
        for name, count in status.counts.items():
            client.gauge(f"feed.trainer.run.{name}", count)
        for name in _TOLD_METRICS:
            if name in status.metrics:
                client.gauge(f"feed.trainer.run.{name}", status.metrics[name])
        if status.status in _ALERT_TYPES:
            self._event(f"{status.job_name} {status.status.value}", _text(status), _ALERT_TYPES[status.status], state)

    def lacks_good_model(self, since: timedelta | None) -> None:
        """Tells the event that no good model has come for too long."""
        told = f"no run has succeeded for {since.total_seconds() / 3600:.0f} h" if since else "no run ever succeeded"
        self._event(f"{JOB_NAME} brings no good model", told, "error", [])

    def good_model_age(self, age: timedelta) -> None:
        """Tells the age of the last good model, seconds."""
        self._agent.client.gauge("feed.trainer.good_model_age", age.total_seconds())

    def close(self) -> None:
        """Sends what is left; takes a second at most."""
        self._agent.close()

    def _event(self, title: str, text: str, alert_type: str, tags: list[str]) -> None:
        self._agent.client.event(title, text, alert_type=alert_type, aggregation_key=JOB_NAME, tags=tags)


def _text(status: RunStatus) -> str:
    return f"run_id={status.model_version} started={status.started_at:%Y-%m-%dT%H:%M:%SZ} error={status.error}"
