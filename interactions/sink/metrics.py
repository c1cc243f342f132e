"""Prometheus metrics of the sink."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from interactions.sink.ports import BatchWritten, Fault, Lag, Step

# From a few rows to a database that is busy.
WRITE_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)
# An event is to be in the database within a second of its acknowledgement.
AGE_BUCKETS_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0, 300.0)

# Told when nobody knows: a lag of none would look well.
_UNKNOWN: Final = float("nan")
_RESULTS: Final = ("inserted", "duplicate", "dead_lettered")


class SinkMetrics:
    """Counts what the sink tells."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._records = Counter(
            "feed_sink_records", "Records read, by what became of them.", ("result",), registry=registry
        )
        self._dead = Counter(
            "feed_sink_dead_letters", "Records put aside, by whose fault it was.", ("fault",), registry=registry
        )
        self._write = Histogram(
            "feed_sink_batch_duration_seconds", "From poll to commit.", buckets=WRITE_BUCKETS_S, registry=registry
        )
        self._age = Histogram(
            "feed_sink_age_seconds",
            "From the log to the database, oldest record of a batch.",
            buckets=AGE_BUCKETS_S,
            registry=registry,
        )
        self._lag_records = Gauge(
            "feed_sink_lag_records", "Records in the log that are not in the database; NaN: unknown.", registry=registry
        )
        self._lag_seconds = Gauge(
            "feed_sink_lag_seconds", "Age of the oldest of these; NaN: unknown.", registry=registry
        )
        self._failures = Counter("feed_sink_failures", "Failed attempts, by step.", ("step",), registry=registry)
        self._show_zeros()

    def batch_written(self, record: BatchWritten) -> None:
        """Counts one batch."""
        self._records.labels("inserted").inc(record.inserted)
        self._records.labels("duplicate").inc(record.duplicates)
        self._records.labels("dead_lettered").inc(sum(record.dead_lettered.values()))
        for fault, count in record.dead_lettered.items():
            self._dead.labels(fault).inc(count)
        self._write.observe(record.elapsed_s)
        self._age.observe(record.age_s)

    def lag_measured(self, lag: Lag) -> None:
        """Shows the lag."""
        self._lag_records.set(_UNKNOWN if lag.records is None else lag.records)
        self._lag_seconds.set(_UNKNOWN if lag.seconds is None else lag.seconds)

    def step_failed(self, step: Step) -> None:
        """Counts one failed attempt."""
        self._failures.labels(step).inc()

    def _show_zeros(self) -> None:
        """An alert needs the zero before the first failure."""
        for result in _RESULTS:
            self._records.labels(result)
        for fault in Fault:
            self._dead.labels(fault)
        for step in Step:
            self._failures.labels(step)
