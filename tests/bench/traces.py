"""What traces cost the bridge: processor time of its process for a page, without traces and with them, turn by turn."""

import asyncio
import itertools
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
import structlog
import uvloop

from deploy.local.process import free_port
from fakes.scorer.server import FakeScorer
from fakes.script.acts import Script
from feed.recommendations.v1 import recommendations_pb2 as pb
from feed.recommendations.v1 import recommendations_pb2_grpc as services
from tests.bench import figures
from tests.bench.access import PATIENT
from tests.http import call_now
from tests.integration.bridge.conftest import fill
from tests.polling import wait_for
from tests.trace_collector import collecting

CALLERS = 16
USERS = 2_000
PAGES: Final = 400
ROUNDS = 24
MODES: Final = ("off", "on", "all")


@dataclass(frozen=True, slots=True)
class Bridge:
    """A bridge that runs in a process of its own."""

    pid: int
    port: int

    def cpu_s(self) -> float:
        """Processor time of all its threads so far."""
        files = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(each.read_text().split()[0]) for each in files) / 1e9


def figure(folder: Path) -> None:
    """Measures a page's processor time without traces, with 1 % kept, and with all kept."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("ERROR"))
    found = uvloop.run(_measured(folder))
    off_us, on_us, all_us = (min(found[mode]) for mode in MODES)
    ratio = on_us / off_us
    figures.show(
        "traces",
        "processor time of the bridge for a page with traces of which 1 % are kept, against none; the least of "
        f"{ROUNDS} turns of {PAGES} pages each",
        value=on_us,
        unit="us",
        reference=off_us,
        ratio=ratio,
        target="<= 1.05 x",
        met=ratio <= 1.05,
        median_of_pairs=statistics.median(on / off for on, off in zip(found["on"], found["off"], strict=True)),
        all_kept_us=all_us,
    )


async def _measured(folder: Path) -> Mapping[str, list[float]]:
    url = f"sqlite:///{folder / 'feed.db'}"
    fill(url)
    found: dict[str, list[float]] = {mode: [] for mode in MODES}
    with ExitStack() as stack:
        collector = stack.enter_context(collecting())
        kept = {"FEED_TRACES_ENDPOINT": collector.endpoint}
        more = {"off": {}, "on": kept, "all": {**kept, "FEED_TRACES_RATIO": "1"}}
        async with FakeScorer(Script(videos=200)) as scorer:
            given = {"FEED_DATABASE_URL": url, "FEED_SCORER_TARGETS": scorer.target, **PATIENT}
            bridges = {
                mode: stack.enter_context(_bridge({**given, **more[mode], "FEED_DATA_DIR": str(folder / mode)}))
                for mode in MODES
            }
            for bridge in bridges.values():
                await _page_us(bridge)  # warms it up
            for number in range(ROUNDS):
                for mode in sorted(MODES, key=lambda each: (number + MODES.index(each)) % len(MODES)):
                    found[mode].append(await _page_us(bridges[mode]))
    return found


@contextmanager
def _bridge(given: Mapping[str, str]) -> Iterator[Bridge]:
    port, http_port = free_port(), free_port()
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("FEED_")},
        **given,
        "FEED_BRIDGE_GRPC_PORT": str(port),
        "FEED_BRIDGE_HTTP_PORT": str(http_port),
        "FEED_LOG_LEVEL": "ERROR",
    }
    process = subprocess.Popen([sys.executable, "-m", "deploy.cli", "bridge"], env=environ)

    def ready() -> bool:
        try:
            return call_now(http_port, "GET", "/readyz").status == 200
        except OSError:
            return False

    try:
        wait_for(ready, bool, bound_s=120)
        yield Bridge(process.pid, port)
    finally:
        process.terminate()
        process.wait(timeout=30)


async def _page_us(bridge: Bridge) -> float:
    """Returns the processor time of a page, in microseconds."""
    lots, left = random.Random(7), itertools.repeat(None, PAGES)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{bridge.port}") as channel:
        stub = services.RecommendationServiceStub(channel)

        async def ask() -> None:
            for _ in left:
                request = pb.GetRecommendationsRequest(user_id=f"u{lots.randrange(USERS)}", page_size=20)
                await stub.GetRecommendations(request, timeout=60)

        start_s = bridge.cpu_s()
        await asyncio.gather(*(ask() for _ in range(CALLERS)))
        return (bridge.cpu_s() - start_s) / PAGES * 1e6
