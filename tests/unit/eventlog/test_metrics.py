"""The metrics of the log: there before the first event, and true."""

import math

from prometheus_client import CollectorRegistry

from eventlog.domain.router import Reason, Switched, Way
from eventlog.metrics import EventlogMetrics
from eventlog.telemetry import JournalMeasured, Quarantined


def test_counters_begin_at_nothing_and_what_is_not_known_says_so() -> None:
    registry = CollectorRegistry()
    EventlogMetrics(registry)

    assert registry.get_sample_value("feed_eventlog_authentication_failures_total") == 0
    assert registry.get_sample_value("feed_eventlog_switches_total", {"way": "journal"}) == 0
    assert math.isnan(registry.get_sample_value("feed_eventlog_kafka_ready") or 0)
    assert math.isnan(registry.get_sample_value("feed_eventlog_journal_bytes") or 0)


def test_everything_that_is_told_is_counted() -> None:
    registry = CollectorRegistry()
    metrics = EventlogMetrics(registry)

    metrics.authentication_failed()
    metrics.producer_rebuilt()
    metrics.kafka_ready(ready=True)
    metrics.switched(Switched(Way.JOURNAL, Reason.SLOW))
    metrics.relayed(7)
    metrics.journal_measured(JournalMeasured(1_000, 5, 2.5))
    metrics.journal_failed()
    metrics.quarantined(Quarantined(300, 3))

    found = {
        name: registry.get_sample_value(f"feed_eventlog_{name}")
        for name in (
            "authentication_failures_total",
            "producer_rebuilds_total",
            "kafka_ready",
            "relayed_records_total",
            "journal_bytes",
            "journal_waiting_records",
            "journal_oldest_age_seconds",
            "journal_failures_total",
            "quarantined_bytes_total",
            "quarantined_records_total",
        )
    }
    assert list(found.values()) == [1, 1, 1, 7, 1_000, 5, 2.5, 1, 300, 3]
    assert registry.get_sample_value("feed_eventlog_switches_total", {"way": "journal"}) == 1


def test_of_a_journal_that_nobody_relays_only_the_size_is_known() -> None:
    registry = CollectorRegistry()
    EventlogMetrics(registry).journal_measured(JournalMeasured(1_000))

    assert registry.get_sample_value("feed_eventlog_journal_bytes") == 1_000
    assert math.isnan(registry.get_sample_value("feed_eventlog_journal_waiting_records") or 0)
