"""What a chaos test stands on: a bridge, scorers, load, and what was seen of them."""

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from runtime.models import bundle_files
from runtime.secrets.signing import load_or_create_private_key
from tests.chaos import recorded
from tests.chaos.figures import Figure
from tests.chaos.load import USERS, Calls, Load, open_loop
from tests.chaos.processes import FakeScorer, Running
from tests.chaos.watching import Sample, Seen, Watch, read_metrics
from tests.integration.bridge.conftest import fill
from tests.model_bundles import arrays_of, manifest_of
from tests.polling import wait_for
from tests.system import free_ports
from tests.toxiproxy import Proxy, toxiproxy

RunningT = TypeVar("RunningT", bound=Running)

VIDEOS = 300
# A process that is ended has no callers who would have to leave first.
COMMON = {"FEED_DRAIN_DELAY_MS": "0"}
LONG_RPS = 300
SHORT_RPS = 100
# A machine that others hold up for long makes the bridge refuse calls, and rightly so; that must not fail `make test`.
SHORT_REFUSABLE = 0.2
# The load generator's own start and end, on a busy machine.
GRACE_S = 30.0
# How long the load goes on at most where it ends with what is done to the bridge.
SHORT_BOUND_S = 300.0


@dataclass
class Run:
    """A run under load. `calls` is there once it is over.

    Args:
        bridge: Who is asked.
        watch: What is seen of it.
        refusable: Share of the calls that may be refused for overload.
    """

    bridge: Running
    watch: Watch
    refusable: float
    calls: Calls = Calls(())  # noqa: RUF009  # immutable

    def pause(self, seconds: float) -> float:
        """Lets the load go on; returns the instant after, in Unix seconds. Not a wait for something: a duration."""
        time.sleep(seconds)
        return time.time()

    def until_page(self, accept: Callable[[Seen], bool], bound_s: float = 30.0) -> Seen:
        """Waits for a page, asked for from now on, that is accepted; returns it."""
        start = time.time()

        def found() -> Seen | None:
            return next((each for each in list(self.watch.pages) if each.time >= start and accept(each)), None)

        page = wait_for(found, bool, bound_s)
        assert page is not None
        return page

    def opened(self, start: float, end: float = math.inf) -> float:
        """Returns when a breaker first opened out of closed between two instants; fails when none did."""
        found = [
            move.time
            for move in self.bridge.moves()
            if (move.old, move.new) == ("closed", "open") and start <= move.time < end
        ]
        assert found, "no breaker opened: the fault was not felt"
        return found[0]

    def until_opened(self, start: float, bound_s: float = 30.0) -> float:
        """Waits until a breaker has opened out of closed since an instant; returns when that was."""

        def found() -> bool:
            return any(
                (move.old, move.new) == ("closed", "open") and move.time >= start for move in self.bridge.moves()
            )

        wait_for(found, bool, bound_s)
        return self.opened(start)

    def sample(self) -> Sample:
        """Reads the metrics now."""
        return read_metrics(self.bridge.http_port)

    @property
    def reasons(self) -> set[str]:
        """Why pages were not the model's."""
        return {each.reason for each in self.watch.pages if each.reason}

    def figures(self) -> dict[str, Figure]:
        """Returns what every run reports."""
        return {
            "calls": len(self.calls),
            "failed": len(self.calls.failed),
            "refused": self.calls.refused,
            "later_than_150_ms": self.calls.later_than(150),
            "p99_ms": self.calls.p99_ms,
            "max_ms": self.calls.max_ms,
        }

    def check(self) -> None:
        """Asserts the promise, whatever the time it took: nobody is failed, every page is whole."""
        assert len(self.calls)
        assert self.calls.failed == []
        assert self.calls.refused <= len(self.calls) * self.refusable
        assert self.watch.pages
        assert [each.problem for each in self.watch.pages if each.problem] == []


class Rig:
    """Starts processes in one folder and ends them in reverse order.

    Args:
        folder: Its data directory.
        closing: What it starts is ended by this.
        long: Whether it puts the load of the targets on the bridge, or one that leaves a busy machine room.

    `environ` may be given more settings for its bridges.
    """

    def __init__(self, folder: Path, closing: ExitStack, *, long: bool = False) -> None:
        self.folder = folder
        self.environ: dict[str, str] = {}
        self._long = long
        self._rps = LONG_RPS if long else SHORT_RPS
        self._refusable = 0.0 if long else SHORT_REFUSABLE
        self._closing = closing
        self._ports = free_ports()
        self._processes: list[Running] = []

    def scorer(self) -> Running:
        """A real scorer with a small model that knows every user; it is starting."""
        if not (self.folder / "models").exists():
            publish(self.folder)
        grpc_port, http_port = next(self._ports), next(self._ports)
        environ = {
            **COMMON,
            "FEED_DATA_DIR": str(self.folder),
            "FEED_SCORER_GRPC_PORT": str(grpc_port),
            "FEED_SCORER_HTTP_PORT": str(http_port),
        }
        name = f"scorer-{grpc_port}"
        return self._launched(Running(name, ("-m", "scorer"), environ, self.folder, grpc_port, http_port))

    def fake_scorer(self, log_level: str = "INFO") -> FakeScorer:
        """A scorer by a script; it is starting."""
        grpc_port, http_port = next(self._ports), next(self._ports)
        command = ("-m", "fakes.scorer", "--port", str(grpc_port), "--http-port", str(http_port))
        environ = {**COMMON, "FEED_LOG_LEVEL": log_level}
        return self._launched(FakeScorer("fake-scorer", command, environ, self.folder, grpc_port, http_port))

    def bridge(self, *targets: str, **settings: object) -> Running:
        """A bridge on a small catalogue, once it and all that was started before it are ready.

        Args:
            targets: Its scorers.
            settings: Its settings, without their prefix; without `database_url` it has a small catalogue of its own.
        """
        (bridge,) = self.bridges(1, *targets, **settings)
        return bridge

    def bridges(self, count: int, *targets: str, **settings: object) -> list[Running]:
        """Several of them, started at the same time."""
        launched = [self._launch_bridge(targets, dict(settings)) for _ in range(count)]
        for process in self._processes:
            process.wait_until_ready()
        return launched

    def _launch_bridge(self, targets: Sequence[str], settings: dict[str, object]) -> Running:
        database_url = str(settings.pop("database_url", ""))
        log_level = str(settings.pop("log_level", "INFO"))
        if not database_url and not (self.folder / "feed.db").exists():
            fill(f"sqlite:///{self.folder / 'feed.db'}")
        grpc_port, http_port = next(self._ports), next(self._ports)
        environ = {
            **COMMON,
            "FEED_DATA_DIR": str(self.folder),
            "FEED_DATABASE_URL": database_url,
            "FEED_LOG_LEVEL": log_level,
            "FEED_SCORER_TARGETS": ",".join(targets),
            # What was served comes again: there are few videos, and thousands of fresh pages for the same users.
            "FEED_BRIDGE_SEEN_SERVED_H": "0",
            "FEED_BRIDGE_GRPC_PORT": str(grpc_port),
            "FEED_BRIDGE_HTTP_PORT": str(http_port),
        }
        environ |= {f"FEED_BRIDGE_{name.upper()}": str(value) for name, value in settings.items()} | self.environ
        name = f"bridge-{grpc_port}"
        return self._launched(Running(name, ("-m", "bridge"), environ, self.folder, grpc_port, http_port))

    def interactions(self) -> Running:
        """An ingest service on the embedded journal, once it is ready."""
        grpc_port, http_port = next(self._ports), next(self._ports)
        environ = {
            **COMMON,
            "FEED_DATA_DIR": str(self.folder),
            "FEED_INTERACTIONS_GRPC_PORT": str(grpc_port),
            "FEED_INTERACTIONS_HTTP_PORT": str(http_port),
        }
        command = ("-m", "interactions")
        made = self._launched(Running("interactions", command, environ, self.folder, grpc_port, http_port))
        made.wait_until_ready()
        return made

    def proxy(self, upstream: int) -> Proxy:
        """A proxy in front of a port."""
        return self._closing.enter_context(toxiproxy(self.folder, upstream))

    @contextmanager
    def under_load(self, bridge: Running, long_s: float, source: str = "LIGHTFM") -> Iterator[Run]:
        """Load for `long_s` seconds, once pages come from `source`; what is done within happens to it.

        In the short form it ends with the block, however long a busy machine takes for that.
        """
        with Watch(bridge.grpc_port, bridge.http_port) as watch:
            run = Run(bridge, watch, self._refusable)
            run.until_page(lambda page: page.source == source)
            load = Load(bridge.grpc_port, self.folder, open_loop(self._rps, long_s if self._long else SHORT_BOUND_S))
            try:
                yield run
            except BaseException:
                load.stop()
                raise
            run.calls = load.finish(long_s + GRACE_S) if self._long else load.end(GRACE_S)
        recorded.keep(recorded.Recorded.of(_test(), run.calls, watch.pages, bridge.moves()))

    def _launched(self, process: RunningT) -> RunningT:
        self._closing.callback(process.stop)
        self._processes.append(process)
        process.launch()
        return process


def _test() -> str:
    """The test that runs, as pytest tells it: `tests/chaos/test_r01.py::test_it (call)`."""
    return os.environ["PYTEST_CURRENT_TEST"].partition(" ")[0].rpartition("/")[2]


def publish(folder: Path) -> None:
    """Publishes a small model that knows every user of the load."""
    users = {f"u{number}": (0.0, 1.0, 0.0) for number in range(1, USERS + 1)}
    arrays = arrays_of(users, [f"v{number:03}" for number in range(VIDEOS)])
    key = load_or_create_private_key(folder / "keys" / "model_signing.pem")
    bundle_files.publish(folder / "models", manifest_of("m1"), arrays, key)
    bundle_files.promote(folder / "models", "m1")
