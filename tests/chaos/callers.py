"""Callers with the settings that docs/api.md asks of them, in Python and in Go; each in a process of its own."""

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import grpc

from feed.recommendations.v1 import recommendations_pb2 as pb
from feed.recommendations.v1 import recommendations_pb2_grpc
from tests.bench.ghz import CONTRACT
from tests.chaos.load import CLIENT_TIMEOUT, FEED, REQUEST
from tests.system import ROOT
from tests.tools import GHZ, needed

CLIENT_TIMEOUT_S: Final = 10.0
# As docs/api.md says.
RECONNECT: Final = {
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.min_reconnect_backoff_ms": 1_000,
    "grpc.max_reconnect_backoff_ms": 500,
}
# An answer with a retry hint, by a bridge that has too little processor time: not a failure of a restart.
SHED: Final = ("RESOURCE_EXHAUSTED", "ResourceExhausted")


def documented_config() -> str:
    """The service config of docs/api.md, in one line."""
    _, _, section = (ROOT / "docs" / "api.md").read_text().partition("## Client settings")
    _, _, block = section.partition("```json\n")
    return json.dumps(json.loads(block.partition("```")[0]), separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a caller got.

    Args:
        calls: How many it made.
        statuses: How they ended; of gRPC's own retries only the last counts.
        retried: Attempts beyond the calls, where that is known.
        max_ms: Longest wait.
    """

    calls: int
    statuses: dict[str, int]
    retried: int | None
    max_ms: float

    @property
    def failed(self) -> int:
        """Calls that ended otherwise than OK or shed."""
        return self.calls - self.statuses.get("OK", 0) - self.shed

    @property
    def shed(self) -> int:
        """Calls that were refused for overload."""
        return sum(self.statuses.get(name, 0) for name in SHED)


class Caller:
    """A process that calls; ended with its `with`, finished or not."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process as process:
            process.kill()

    @property
    def running(self) -> bool:
        """Whether it still calls."""
        return self._process.poll() is None


class PythonCaller(Caller):
    """grpc.aio, open loop, from its making until `finish`.

    Args:
        target: Whom it calls, in gRPC's syntax.
        rps: Calls a second.
        channels: Over how many channels in turn.
    """

    def __init__(self, target: str, rps: int, channels: int) -> None:
        super().__init__([sys.executable, "-m", "tests.chaos.callers", target, str(rps), str(channels)])

    def finish(self, bound_s: float = 30.0) -> Outcome:
        """Lets it end; returns what it got."""
        told, said = self._process.communicate(input="", timeout=bound_s)
        assert self._process.returncode == 0, said
        return Outcome(**json.loads(told))


class GoCaller(Caller):
    """ghz, that is grpc-go, open loop, for a number of seconds. It knows no health checking.

    Args:
        target: Whom it calls; its service config comes with the name.
        rps: Calls a second.
        seconds: How long.
        connections: How many channels.
        folder: Where the report goes.
    """

    def __init__(self, target: str, rps: int, seconds: float, connections: int, folder: Path) -> None:
        self._calls = round(rps * seconds)
        self._report = folder / f"ghz-{time.monotonic_ns()}.json"
        source = ["--insecure", "--protoset", str(CONTRACT), "--call", FEED, "-d", REQUEST, "-t", CLIENT_TIMEOUT]
        pace = ["--async", "--rps", str(rps), "-c", "50", "--connections", str(connections), "-n", str(self._calls)]
        super().__init__([str(needed(GHZ)), *source, *pace, "-O", "json", "-o", str(self._report), target])

    def finish(self, bound_s: float) -> Outcome:
        """Waits for its end; returns what it got."""
        _, said = self._process.communicate(timeout=bound_s)
        assert self._process.returncode == 0, said
        report: dict[str, Any] = json.loads(self._report.read_text())
        statuses: dict[str, int] = report["statusCodeDistribution"]
        # It reports every attempt of a call: what exceeds the calls was retried.
        return Outcome(self._calls, statuses, report["count"] - self._calls, report["slowest"] / 1e6)


class _Calls:
    """Makes calls and counts how they end."""

    def __init__(self, stubs: Sequence["recommendations_pb2_grpc.RecommendationServiceAsyncStub"]) -> None:
        self._stubs = stubs
        self._running: set[asyncio.Task[None]] = set()
        self._made = 0
        self._statuses: Counter[str] = Counter()
        self._max_ms = 0.0

    async def run(self, rps: int, stopped: asyncio.Event) -> Outcome:
        """Makes calls at a fixed rate until it is stopped, and waits for the last."""
        start = time.monotonic()
        while not stopped.is_set():
            await asyncio.sleep(max(0.0, start + self._made / rps - time.monotonic()))
            task = asyncio.create_task(self._call(self._stubs[self._made % len(self._stubs)]))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            self._made += 1
        await asyncio.gather(*self._running)
        return Outcome(self._made, dict(self._statuses), None, self._max_ms)

    async def _call(self, stub: "recommendations_pb2_grpc.RecommendationServiceAsyncStub") -> None:
        start = time.monotonic()
        request = pb.GetRecommendationsRequest(user_id=f"u{self._made % 500 + 1}", page_size=20)
        try:
            page = await stub.GetRecommendations(request, timeout=CLIENT_TIMEOUT_S)
            whole = len({each.video_id for each in page.recommendations}) == 20
            self._statuses["OK" if whole else "not a whole page"] += 1
        except grpc.aio.AioRpcError as error:
            self._statuses[error.code().name] += 1
        self._max_ms = max(self._max_ms, (time.monotonic() - start) * 1000)


async def _run(target: str, rps: int, channels: int) -> Outcome:
    options = {**RECONNECT, "grpc.service_config": documented_config(), "grpc.use_local_subchannel_pool": 1}
    made = [grpc.aio.insecure_channel(target, options=list(options.items())) for _ in range(channels)]
    stopped = asyncio.Event()
    loop, control = asyncio.get_running_loop(), sys.stdin.fileno()
    loop.add_reader(control, stopped.set)
    await asyncio.gather(*(channel.channel_ready() for channel in made))
    stubs = [recommendations_pb2_grpc.RecommendationServiceStub(channel) for channel in made]
    outcome = await _Calls(stubs).run(rps, stopped)
    loop.remove_reader(control)
    for channel in made:
        await channel.close()
    return outcome


if __name__ == "__main__":
    measured = asyncio.run(_run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
    fields = {name: getattr(measured, name) for name in Outcome.__slots__}
    sys.stdout.write(json.dumps(fields))
