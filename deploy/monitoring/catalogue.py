"""Every metric of every process, as the processes themselves define it: they are built here, but not started."""

import asyncio
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple, Protocol, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from bridge import app as bridge
from bridge.settings import BridgeSettings
from insights import app as insights
from insights.settings import InsightsSettings
from interactions import app as interactions
from interactions.settings import InteractionsSettings
from interactions.sink import app as sink
from interactions.sink.settings import SinkSettings
from runtime.metrics import ServerMetrics
from runtime.settings import CommonSettings, load
from runtime.workers.metrics import WorkerMetrics
from runtime.workers.worker import Worker
from scorer import app as scorer
from scorer.settings import ScorerSettings
from trainer import app as trainer
from trainer.settings import TrainerSettings

# Prometheus' own labels, and the one that workers of a process differ by.
EVERYWHERE: Final = frozenset({"job", "instance", "worker"})

_UNITS: Final = ("seconds", "bytes", "ratio")

SettingsT = TypeVar("SettingsT", bound=CommonSettings)


class Kind(StrEnum):
    """What Prometheus calls the type of a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"


# What the samples of a metric are called, after its name.
_SUFFIXES: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.COUNTER: ("_total",),
    Kind.GAUGE: ("",),
    Kind.HISTOGRAM: ("_bucket", "_sum", "_count"),
    Kind.INFO: ("_info",),
}


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric.

    Args:
        name: As documents call it: a counter with `_total`, a histogram without the suffixes of its series.
        kind: Its type.
        labels: Names of its labels, but for those that all have.
        text: Its help text.
        processes: Who exposes it.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    text: str
    processes: tuple[str, ...]

    @property
    def unit(self) -> str:
        """Base unit that the name ends in; empty: a number of something."""
        last = self.name.removesuffix("_total").rpartition("_")[2]
        return last if last in _UNITS else ""

    def series(self) -> dict[str, frozenset[str]]:
        """Returns the names of its series, each with the labels that it may be asked by."""
        own = EVERYWHERE | set(self.labels)
        if self.kind is Kind.HISTOGRAM:
            return {f"{self.name}{suffix}": own | {"le"} for suffix in _SUFFIXES[self.kind]}
        return {self.name: own}


_ALL: Final = ("bridge", "scorer", "interactions", "sink", "insights", "trainer")

# What prometheus_client adds by itself, where there is a /proc.
_LIBRARY: Final = (
    Metric("process_cpu_seconds_total", Kind.COUNTER, (), "Total user and system CPU time spent in seconds.", _ALL),
    Metric("process_max_fds", Kind.GAUGE, (), "Maximum number of open file descriptors.", _ALL),
    Metric("process_open_fds", Kind.GAUGE, (), "Number of open file descriptors.", _ALL),
    Metric("process_resident_memory_bytes", Kind.GAUGE, (), "Resident memory size in bytes.", _ALL),
    Metric("process_start_time_seconds", Kind.GAUGE, (), "Start time of the process since unix epoch.", _ALL),
    Metric("process_virtual_memory_bytes", Kind.GAUGE, (), "Virtual memory size in bytes.", _ALL),
    Metric(
        "python_info",
        Kind.GAUGE,
        ("implementation", "major", "minor", "patchlevel", "version"),
        "Python platform information",
        _ALL,
    ),
)


class Process(NamedTuple):
    """A process that Prometheus asks.

    Args:
        name: Its name.
        http_port: Where it is asked, unless it is set otherwise.
        registry: Its metrics.
    """

    name: str
    http_port: int
    registry: CollectorRegistry

    @property
    def job(self) -> str:
        """What Prometheus calls it."""
        return f"feed-{self.name}"


class _Built(Protocol):
    @property
    def registry(self) -> CollectorRegistry: ...


def catalogue(asked: Iterable[Process]) -> tuple[Metric, ...]:
    """Returns every metric of the processes, in the order of their names.

    Raises:
        ValueError: A name is one metric here and another there.
    """
    found: dict[str, Metric] = {each.name: each for each in _LIBRARY}
    for process in asked:
        for metric in _defined(process):
            known = found.get(metric.name)
            merged = replace(metric, processes=(*known.processes, process.name)) if known else metric
            if known and (known.kind, known.labels) != (metric.kind, metric.labels):
                raise ValueError(f"{metric.name} is another metric in {process.name} than in {known.processes}")
            found[metric.name] = merged
    return tuple(found[name] for name in sorted(found))


def processes() -> tuple[Process, ...]:
    """Builds every process as it is by default, and returns them in the order of the README."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_built(Path(folder)))


async def _built(folder: Path) -> tuple[Process, ...]:
    """In an event loop: the bridge's channels belong to one."""
    environ = {"FEED_DATA_DIR": str(folder)}
    of_bridge = load(BridgeSettings, environ)
    bridge_app = bridge.build(of_bridge)
    WorkerMetrics(bridge_app.registry, Worker(1, 1, folder))
    for client in bridge_app.clients:
        await client.close()
    of_scorer, of_interactions = load(ScorerSettings, environ), load(InteractionsSettings, environ)
    of_sink, of_insights = load(SinkSettings, environ), load(InsightsSettings, environ)
    of_trainer = load(TrainerSettings, environ)
    return (
        _served("bridge", of_bridge.bridge_http_port, bridge_app),
        _served("scorer", of_scorer.scorer_http_port, scorer.build(of_scorer)),
        _served("interactions", of_interactions.interactions_http_port, interactions.build(of_interactions)),
        _served("sink", of_sink.sink_http_port, sink.build(of_sink)),
        _served("insights", of_insights.insights_http_port, insights.build(of_insights)),
        _served("trainer", of_trainer.trainer_http_port, trainer.SchedulerApp(of_trainer)),
    )


def _served(name: str, http_port: int, app: _Built) -> Process:
    """Adds what every process has."""
    ServerMetrics(app.registry, name)
    return Process(name, http_port, app.registry)


def _defined(process: Process) -> Iterator[Metric]:
    # The library tells the labels of a metric only with its samples, which some do not have yet.
    for collector in process.registry._collector_to_names:  # noqa: SLF001
        if not isinstance(collector, MetricWrapperBase):
            continue  # those of the library itself, which depend on the machine
        for family in collector.describe():
            kind = Kind(family.type)
            suffix = "" if kind is Kind.HISTOGRAM else _SUFFIXES[kind][0]
            labels = collector._labelnames or _labels_of_info(collector, kind)  # noqa: SLF001
            yield Metric(f"{family.name}{suffix}", kind, tuple(labels), family.documentation, (process.name,))


def _labels_of_info(collector: MetricWrapperBase, kind: Kind) -> Iterable[str]:
    if kind is not Kind.INFO:
        return ()
    return sorted({label for family in collector.collect() for sample in family.samples for label in sample.labels})
