"""One user who asks far too often, in a process that stands back: on two cores he would take the servers' own.

    python -m tests.chaos.flooding PORT CALLS_A_SECOND MOST_PUSHBACK_MS

It ends when its input does, and prints what came of its calls.
"""

import json
import subprocess
import sys
import threading
import time
from typing import Any, Final, NamedTuple, Self

import grpc

from feed.recommendations.v1 import recommendations_pb2 as pb
from tests.chaos.load import FEED
from tests.system import ROOT

USER: Final = "flooding"


class Flooded(NamedTuple):
    """What came of the calls.

    Args:
        asked: How many there were.
        served: How many were answered with a page.
        hinted: How many were refused as this user's, and told when to come again.
        refused: How many were refused.
        lasted_s: How long they took, in seconds.
    """

    asked: int
    served: int
    hinted: int
    refused: int
    lasted_s: float


class Flood:
    """The process, from `with` to its end; `came_of` is there after it.

    Args:
        port: The bridge's.
        rps: Calls a second.
        most_pushback_ms: Longest time that a refusal may tell him to wait.
    """

    def __init__(self, port: int, rps: int, most_pushback_ms: float) -> None:
        self._arguments = (str(port), str(rps), str(most_pushback_ms))

    def __enter__(self) -> Self:
        command = ["nice", "-n", "19", sys.executable, "-m", "tests.chaos.flooding", *self._arguments]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "asking\n"
        return self

    def __exit__(self, *_: object) -> None:
        said = self._process.communicate(timeout=60)[0]
        self.came_of = Flooded(**json.loads(said))


def main(port: int, rps: int, most_pushback_ms: float) -> None:
    """Asks until the input ends."""
    ended = threading.Event()
    threading.Thread(target=_until_the_input_ends, args=(ended,), daemon=True).start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        ask: Any = channel.unary_unary(f"/{FEED}", pb.GetRecommendationsRequest.SerializeToString)
        calls: list[Any] = []
        sys.stdout.write("asking\n")
        sys.stdout.flush()
        start = time.monotonic()
        while not ended.wait(max(0.0, start + len(calls) / rps - time.monotonic())):
            calls.append(ask.future(pb.GetRecommendationsRequest(user_id=USER), timeout=10))
        codes = [call.code() for call in calls]
        lasted_s = time.monotonic() - start
        refused = [call for call, code in zip(calls, codes, strict=True) if code is grpc.StatusCode.RESOURCE_EXHAUSTED]
        hinted = sum(_hinted(call, most_pushback_ms) for call in refused)
    served = codes.count(grpc.StatusCode.OK)
    sys.stdout.write(json.dumps(Flooded(len(calls), served, hinted, len(refused), lasted_s)._asdict()))


def _until_the_input_ends(ended: threading.Event) -> None:
    sys.stdin.read()
    ended.set()


def _hinted(call: Any, most_ms: float) -> bool:
    """Whether a refusal is this one and says when to come again: within the time that a token takes."""
    trailers = dict(call.trailing_metadata())
    pushback_ms = int(trailers.get("grpc-retry-pushback-ms", -1))
    return b"USER_RATE" in trailers["grpc-status-details-bin"] and 0 <= pushback_ms <= most_ms


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
