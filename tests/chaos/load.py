"""Open-loop load: ghz asks at a fixed rate, whether or not the last answer is there, so that a stall shows."""

import json
import math
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tests.bench.ghz import CONTRACT
from tests.tools import GHZ, needed

# Far beyond the bridge's own 150 ms: a late answer shows as late and not as a failed call.
CLIENT_TIMEOUT = "10s"

# What the bridge says when it is asked more than it can answer, and what gRPC says before the bridge hears of it.
REFUSED = "ResourceExhausted"
REFUSED_BY_GRPC = "Canceled"
REFUSALS = {REFUSED, REFUSED_BY_GRPC}

FEED = "feed.recommendations.v1.RecommendationService/GetRecommendations"
USERS = 500
REQUEST = f'{{"user_id":"u{{{{randomInt 1 {USERS}}}}}","page_size":20}}'


@dataclass(frozen=True, slots=True)
class Call:
    """One call as its caller saw it.

    Args:
        start: When it was made, in Unix seconds.
        latency_ms: How long it took.
        status: How it ended, such as `OK`.
    """

    start: float
    latency_ms: float
    status: str


class Calls:
    """The calls of a run."""

    def __init__(self, calls: Iterable[Call]) -> None:
        self._calls = tuple(calls)

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        return iter(self._calls)

    def between(self, start: float, end: float) -> "Calls":
        """Returns those that were made from one instant to another."""
        return Calls(each for each in self._calls if start <= each.start < end)

    def only(self, accept: Callable[[Call], bool]) -> "Calls":
        """Returns those that are accepted."""
        return Calls(filter(accept, self._calls))

    def later_than(self, limit_ms: float) -> int:
        """Counts those that took longer."""
        return sum(each.latency_ms > limit_ms for each in self._calls)

    @property
    def failed(self) -> list[str]:
        """The statuses of those that did not end OK, nor were refused."""
        return [each.status for each in self._calls if each.status not in {"OK", *REFUSALS}]

    @property
    def refused(self) -> int:
        """How many were refused for overload."""
        return sum(each.status in REFUSALS for each in self._calls)

    @property
    def p99_ms(self) -> float:
        """99th percentile of the latency; 0 when there were none."""
        ordered = sorted(each.latency_ms for each in self._calls)
        return ordered[math.ceil(len(ordered) * 0.99) - 1] if ordered else 0.0

    @property
    def max_ms(self) -> float:
        """The slowest."""
        return max((each.latency_ms for each in self._calls), default=0.0)


def open_loop(rps: float, seconds: float) -> tuple[str, ...]:
    """The arguments for calls at a fixed rate, for some seconds."""
    pace = ("--async", "--rps", str(round(rps)), "-c", "50", "-n", str(round(rps * seconds)))
    return (*pace, "--duration-stop", "wait")  # of one that is ended before its time, the last calls are waited for


def closed_loop(callers: int, seconds: float) -> tuple[str, ...]:
    """The arguments for callers who ask again as soon as they are answered; their last calls are waited for."""
    return ("-c", str(callers), "-z", f"{seconds}s", "--duration-stop", "wait")


class Load:
    """Load that runs beside the test, from its making until `finish`.

    Args:
        port: Of the bridge.
        folder: Where the report goes.
        arguments: How much, as `open_loop` and `closed_loop` say it.
        connection: How ghz is to connect.
    """

    def __init__(
        self, port: int, folder: Path, arguments: Sequence[str], connection: Sequence[str] = ("--insecure",)
    ) -> None:
        self._report = folder / f"ghz-{time.monotonic_ns()}.json"
        source = [*connection, "--protoset", str(CONTRACT), "--call", FEED, "-d", REQUEST, "-t", CLIENT_TIMEOUT]
        output = ["--connections", "4", "-O", "json", "-o", str(self._report)]
        command = [str(needed(GHZ)), *source, *arguments, *output, f"127.0.0.1:{port}"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self, bound_s: float) -> Calls:
        """Waits for the end of the load; returns its calls."""
        try:
            _, said = self._process.communicate(timeout=bound_s)
        finally:
            self.stop()
        assert self._process.returncode == 0, said
        return Calls(map(_call, json.loads(self._report.read_text())["details"]))

    def end(self, bound_s: float) -> Calls:
        """Ends it before its time, but not its calls; returns them."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        return self.finish(bound_s)

    def stop(self) -> None:
        """Ends it, whatever becomes of its calls."""
        self._process.kill()
        self._process.wait()


def _call(detail: dict[str, object]) -> Call:
    latency_ms = float(str(detail["latency"])) / 1e6
    ended = datetime.fromisoformat(str(detail["timestamp"])).timestamp()
    return Call(ended - latency_ms / 1000, latency_ms, str(detail["status"]))
