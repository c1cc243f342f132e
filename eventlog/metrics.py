"""Prometheus metrics of the log."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from eventlog.domain.router import Switched, Way
from eventlog.telemetry import JournalMeasured, Quarantined

# Told when nobody knows, or there is nothing of the kind: a zero would look like news.
_UNKNOWN: Final = float("nan")


class EventlogMetrics:
    """Counts what the publishers and consumers of one process tell.

    Args:
        registry: Of the process; takes one of these.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._refused = self._counter("authentication_failures", "Times a broker refused the credentials.")
        self._rebuilt = self._counter("producer_rebuilds", "Producers replaced after a fatal error.")
        self._kafka = self._gauge("kafka_ready", "1: Kafka can be used; 0: not; NaN: none, or not known.")
        self._switched = Counter(
            "feed_eventlog_switches", "Changes of the way of new records.", ("way",), registry=registry
        )
        self._relayed = self._counter("relayed_records", "Records brought from the journal to Kafka.")
        self._bytes = self._gauge("journal_bytes", "What the journal takes on disk; NaN: there is none.")
        self._waiting = self._gauge("journal_waiting_records", "Journalled and not in Kafka; NaN: nobody relays.")
        self._age = self._gauge("journal_oldest_age_seconds", "Age of the oldest of these; 0: none.")
        self._failed = self._counter("journal_failures", "Failed attempts to write or read the journal.")
        self._put_aside = self._counter("quarantined_records", "Damaged records put aside.")
        self._put_aside_bytes = self._counter("quarantined_bytes", "Damaged bytes put aside.")
        self._rebalanced = self._counter("rebalances", "Times partitions came to a reader of this process, or went.")
        for way in Way:  # an alert needs the zero before the first change
            self._switched.labels(way)
        for gauge in (self._kafka, self._bytes, self._waiting):
            gauge.set(_UNKNOWN)

    def authentication_failed(self) -> None:
        """Counts one refusal."""
        self._refused.inc()

    def producer_rebuilt(self) -> None:
        """Counts one."""
        self._rebuilt.inc()

    def kafka_ready(self, ready: bool) -> None:
        """Shows it."""
        self._kafka.set(ready)

    def switched(self, record: Switched) -> None:
        """Counts one change."""
        self._switched.labels(record.way).inc()

    def relayed(self, records: int) -> None:
        """Counts them."""
        self._relayed.inc(records)

    def journal_measured(self, record: JournalMeasured) -> None:
        """Shows the journal."""
        self._bytes.set(record.bytes_used)
        self._waiting.set(_UNKNOWN if record.waiting is None else record.waiting)
        self._age.set(record.oldest_age_s)

    def journal_failed(self) -> None:
        """Counts one failure."""
        self._failed.inc()

    def quarantined(self, record: Quarantined) -> None:
        """Counts what was put aside."""
        self._put_aside.inc(record.records)
        self._put_aside_bytes.inc(record.size_bytes)

    def rebalanced(self) -> None:
        """Counts one."""
        self._rebalanced.inc()

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(f"feed_eventlog_{name}", text, registry=self._registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"feed_eventlog_{name}", text, registry=self._registry)
