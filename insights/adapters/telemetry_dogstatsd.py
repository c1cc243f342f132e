"""What was served and consumed, and what is wrong with it, to a Datadog agent over DogStatsD."""

from collections.abc import Mapping, Sequence
from typing import Final

from insights.domain.analytics import AnalyticsEvent, EventName
from insights.keeper import Step
from insights.ports import LedgerState
from runtime.dogstatsd import AgentTelemetry

_COUNTERS: Final = {
    EventName.SERVED: "feed.recommendation.served",
    EventName.CONSUMED: "feed.recommendation.consumed",
}
# Of the properties of an event those that have few values.
_TAGS: Final = ("algorithm", "source", "fallback_reason", "interaction_type")


class DogStatsdTelemetry(AgentTelemetry):
    """Counts events as the port `Analytics`, and listens to the keeper and the guardian.

    Args:
        address: `host:port`, or the path of a Unix socket.
        tags: Set on everything, such as `env:prod`.
    """

    def __init__(self, address: str, tags: list[str]) -> None:
        super().__init__(address, tags)
        self._balance = 0

    def send(self, events: Sequence[AnalyticsEvent]) -> None:
        """Counts events; an agent never says whether it has taken them."""
        for event in events:
            tags = [f"{name}:{event.properties[name]}" for name in _TAGS if event.properties.get(name)]
            self._agent.client.increment(_COUNTERS[event.name], tags=tags)

    def caught_up(self) -> None:
        """Says nothing."""

    def added_up(self, state: LedgerState) -> None:
        """Tells what the ledger adds up to, and the event that it does not balance, once until it does."""
        self._agent.client.gauge("feed.insights.served_videos", state.served)
        self._agent.client.gauge("feed.insights.balance", state.balance)
        if state.balance and not self._balance:
            self._event("feed.insights.ledger_unbalanced", f"served={state.served} balance={state.balance}")
        self._balance = state.balance

    def step_failed(self, step: Step) -> None:
        """Counts it."""
        self._agent.client.increment("feed.insights.failures", tags=[f"step:{step.value}"])

    def looked(self, running: int, mismatched: int) -> None:
        """Tells how many experiments are running and mismatched."""
        self._agent.client.gauge("feed.insights.experiments", running)
        self._agent.client.gauge("feed.insights.experiments_mismatched", mismatched)

    def stopped(self, name: str, harms: Sequence[str]) -> None:
        """Tells the event."""
        self._event("feed.insights.experiment_stopped", f"experiment={name} harms={'; '.join(harms)}")

    def mismatched(self, name: str, users: Mapping[str, int]) -> None:
        """Tells the event."""
        found = ",".join(f"{variant}:{count}" for variant, count in users.items())
        self._event("feed.insights.experiment_mismatched", f"experiment={name} users={found}")

    def _event(self, title: str, text: str) -> None:
        self._agent.client.event(title, text, alert_type="error", aggregation_key=title)
