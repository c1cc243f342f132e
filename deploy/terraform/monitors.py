"""Datadog's monitors: of the alerts, those of what Datadog is told (docs/metrics.md, docs/nightly.md)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from deploy.monitoring.alerts import groups
from deploy.monitoring.rules import Alert, Severity

# Datadog's priorities: 1 wakes somebody up.
_PRIORITIES: Final = {Severity.PAGE: 1, Severity.TICKET: 3}
_SCOPE: Final = "{env:${env}}"


@dataclass(frozen=True, slots=True)
class Monitor:
    """An alert as Datadog's query.

    Args:
        alert: Name of the alert.
        query: Up to the comparison; `SCOPE` stands for what it is of.
        over: Above this it fires, as the alert does.
    """

    alert: str
    query: str
    over: float

    @property
    def key(self) -> str:
        """What Terraform calls it."""
        return self.alert

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that it asks for."""
        return tuple(part.partition("SCOPE")[0].rpartition(":")[2] for part in self.query.split("SCOPE")[:-1])


MONITORS: Final = (
    Monitor(
        "FeedNotPersonal",
        "sum(last_5m):sum:feed.recommendation.fallbackSCOPE.as_count()"
        " / sum:feed.recommendation.servedSCOPE.as_count()",
        0.05,
    ),
    Monitor("FeedTrainerNoGoodModel", "min(last_5m):min:feed.trainer.good_model_ageSCOPE", 129_600),
    Monitor("FeedLedgerUnbalanced", "max(last_5m):abs(max:feed.insights.balanceSCOPE)", 0),
    Monitor("FeedExperimentMismatched", "max(last_5m):max:feed.insights.experiments_mismatchedSCOPE", 0),
)


def alert_of(monitor: Monitor) -> Alert:
    """Returns the alert of a monitor, the first one of its name."""
    every = (alert for group in groups([]) for alert in group.alerts)
    return next(alert for alert in every if alert.name == monitor.alert)


def as_datadog(monitor: Monitor) -> Mapping[str, Any]:
    """Returns what Terraform makes of it; `${env}` is put in there."""
    alert = alert_of(monitor)
    return {
        "query": f"{monitor.query.replace('SCOPE', _SCOPE)} > {monitor.over:g}",
        "critical": monitor.over,
        "priority": _PRIORITIES[alert.severity],
        "message": f"{alert.description} See {alert.runbook}.",
    }
