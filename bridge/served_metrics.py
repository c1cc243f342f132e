"""Metrics of the records of served pages."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge

from bridge.served import Drop


class ServedMetrics:
    """Counts what becomes of the records.

    Args:
        registry: Where the metrics are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._published = Counter(
            "feed_bridge_served_published", "Records of served pages that the log has.", registry=registry
        )
        self._dropped = Counter(
            "feed_bridge_served_dropped", "Records of served pages that were lost.", ("why",), registry=registry
        )
        for why in Drop:  # an alert needs the zero before the first loss
            self._dropped.labels(why)

    def watch(self, waiting: Callable[[], float]) -> None:
        """Exposes how many records are not published yet."""
        gauge = Gauge("feed_bridge_served_waiting", "Records that are not published yet.", registry=self._registry)
        gauge.set_function(waiting)

    def published(self, count: int) -> None:
        """Counts records that the log has acknowledged."""
        self._published.inc(count)

    def dropped(self, count: int, why: Drop) -> None:
        """Counts lost records."""
        self._dropped.labels(why).inc(count)
