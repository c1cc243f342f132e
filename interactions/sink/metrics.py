"""Prometheus metrics of the sink."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from interactions.sink.ports import BatchWritten, Fault, Lag, Step

# From a few rows to a database that is busy.
WRITE_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)
# A record is to be in the database within a second of its acknowledgement.
AGE_BUCKETS_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0, 300.0)

# Told when nobody knows: a lag of none would look well.
_UNKNOWN: Final = float("nan")
_RESULTS: Final = ("inserted", "dropped_no_consent", "duplicate", "dead_lettered")


class SinkMetrics:
    """The metrics of all topics that one sink reads.

    Args:
        registry: Where they are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.records = Counter(
            "feed_sink_records", "Records read, by what became of them.", ("topic", "result"), registry=registry
        )
        self.dead = Counter(
            "feed_sink_dead_letters", "Records put aside, by whose fault it was.", ("topic", "fault"), registry=registry
        )
        self.write = Histogram(
            "feed_sink_batch_duration_seconds",
            "From poll to commit.",
            ("topic",),
            buckets=WRITE_BUCKETS_S,
            registry=registry,
        )
        self.age = Histogram(
            "feed_sink_age_seconds",
            "From the log to the database, oldest record of a batch.",
            ("topic",),
            buckets=AGE_BUCKETS_S,
            registry=registry,
        )
        self.lag_records = Gauge(
            "feed_sink_lag_records",
            "Records in the log that are not in the database; NaN: unknown.",
            ("topic",),
            registry=registry,
        )
        self.lag_seconds = Gauge(
            "feed_sink_lag_seconds", "Age of the oldest of these; NaN: unknown.", ("topic",), registry=registry
        )
        self.failures = Counter("feed_sink_failures", "Failed attempts, by step.", ("topic", "step"), registry=registry)

    def of(self, topic: str) -> "TopicMetrics":
        """Returns what counts for one topic."""
        return TopicMetrics(self, topic)


class TopicMetrics:
    """Counts what the loop of one topic tells.

    Args:
        metrics: Those of the sink.
        topic: The topic.
    """

    def __init__(self, metrics: SinkMetrics, topic: str) -> None:
        self._metrics = metrics
        self._topic = topic
        self._show_zeros()

    def batch_written(self, record: BatchWritten) -> None:
        """Counts one batch."""
        written = record.written
        counts = (written.inserted, written.dropped, record.duplicates, sum(record.dead_lettered.values()))
        for result, count in zip(_RESULTS, counts, strict=True):
            self._metrics.records.labels(self._topic, result).inc(count)
        for fault, count in record.dead_lettered.items():
            self._metrics.dead.labels(self._topic, fault).inc(count)
        self._metrics.write.labels(self._topic).observe(record.elapsed_s)
        self._metrics.age.labels(self._topic).observe(record.age_s)

    def lag_measured(self, lag: Lag) -> None:
        """Shows the lag."""
        self._metrics.lag_records.labels(self._topic).set(_UNKNOWN if lag.records is None else lag.records)
        self._metrics.lag_seconds.labels(self._topic).set(_UNKNOWN if lag.seconds is None else lag.seconds)

    def step_failed(self, step: Step) -> None:
        """Counts one failed attempt."""
        self._metrics.failures.labels(self._topic, step).inc()

    def _show_zeros(self) -> None:
        """An alert needs the zero before the first failure."""
        for result in _RESULTS:
            self._metrics.records.labels(self._topic, result)
        for fault in Fault:
            self._metrics.dead.labels(self._topic, fault)
        for step in Step:
            self._metrics.failures.labels(self._topic, step)
        for metric in (self._metrics.write, self._metrics.age, self._metrics.lag_records, self._metrics.lag_seconds):
            metric.labels(self._topic)
