"""Prometheus metrics of the ingest service."""

from collections import Counter as Tally

from prometheus_client import CollectorRegistry, Counter, Histogram

from interactions.telemetry import EventsRecorded

# Dense around the 50 ms that P95 must stay under.
PUBLISH_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 5.0)

_UNKNOWN_TYPE = "UNKNOWN"


class InteractionsMetrics:
    """Counts what the ingest service tells."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._events = Counter(
            "feed_interactions_events", "Events by what became of them.", ("type", "status"), registry=registry
        )
        self._publish = Histogram(
            "feed_interactions_publish_duration_seconds",
            "From the arrival of a call until its events are durable.",
            ("durability",),
            buckets=PUBLISH_BUCKETS_S,
            registry=registry,
        )
        self._refused = Counter(
            "feed_eventlog_authentication_failures", "Times a broker refused the credentials.", registry=registry
        )

    def events_recorded(self, record: EventsRecorded) -> None:
        """Counts the events of one call."""
        tally = Tally((result.interaction_type or _UNKNOWN_TYPE, result.status) for result in record.results)
        for (interaction_type, status), count in tally.items():
            self._events.labels(interaction_type, status).inc(count)
        if record.durability is not None:
            self._publish.labels(record.durability).observe(record.elapsed_s)

    def authentication_failed(self) -> None:
        """Counts one refusal."""
        self._refused.inc()
