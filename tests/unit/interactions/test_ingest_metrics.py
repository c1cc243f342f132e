"""Labels of the ingest service's metrics come from closed sets, whatever callers send."""

import pytest
from prometheus_client import CollectorRegistry

from eventlog.ports import Durability
from interactions.domain.event import BrokenRule, InteractionType
from interactions.domain.result import EventResult, Status
from interactions.metrics import InteractionsMetrics
from interactions.telemetry import EventsRecorded


def rejected(field: str) -> EventResult:
    return EventResult("", Status.REJECTED, None, (BrokenRule(field, "is bad"), BrokenRule("userId", "too")))


@pytest.mark.parametrize(
    ("field", "label"),
    [
        pytest.param("watchTime", "watchTime", id="a field"),
        pytest.param("experiments[0].variant", "experiments", id="inside a list"),
        pytest.param("metadata['userId']", "metadata", id="inside a map"),
        pytest.param("interaction", "interaction", id="the whole"),
        pytest.param("f47ac10b-58cc-4372-a567-0e02b2c3d479", "other", id="an id"),
        pytest.param("", "other", id="nothing"),
        pytest.param("\n", "other", id="a line end"),
    ],
)
def test_a_rejection_is_counted_by_its_first_field(field: str, label: str) -> None:
    registry = CollectorRegistry()
    InteractionsMetrics(registry).events_recorded(EventsRecorded([rejected(field)], None, 0.1))

    counted = {
        sample.labels["field"]
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "feed_interactions_rejected_total" and sample.value
    }
    assert counted == {label}
    assert registry.get_sample_value("feed_interactions_events_total", {"type": "UNKNOWN", "status": "REJECTED"}) == 1


def test_latency_is_kept_by_durability_and_only_of_what_is_durable() -> None:
    registry = CollectorRegistry()
    metrics = InteractionsMetrics(registry)
    accepted = EventResult("a", Status.ACCEPTED, InteractionType.VIEW)
    metrics.events_recorded(EventsRecorded([accepted, accepted], Durability.KAFKA, 0.012))
    metrics.events_recorded(EventsRecorded([EventResult("a", Status.FAILED, InteractionType.VIEW)], None, 5.0))

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    assert value("feed_interactions_events_total", type="VIEW", status="ACCEPTED") == 2
    assert value("feed_interactions_events_total", type="VIEW", status="FAILED") == 1
    assert value("feed_interactions_publish_duration_seconds_count", durability="KAFKA") == 1
    assert value("feed_interactions_publish_duration_seconds_sum", durability="KAFKA") == pytest.approx(0.012)
    assert value("feed_interactions_publish_duration_seconds_count", durability="JOURNAL") == 0
