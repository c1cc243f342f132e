"""A caller of two bridges who asks the other one when one does not answer soon, as docs/api.md advises.

In a process of its own, open loop, until its input ends; it then prints what came of its calls.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

import grpc

from feed.recommendations.v1 import recommendations_pb2 as pb
from feed.recommendations.v1 import recommendations_pb2_grpc
from tests.chaos.callers import RECONNECT, Caller
from tests.chaos.sender import proof

# More than the bridge's promise, so that who takes longer is not there.
ATTEMPT_S: Final = 0.5
MOST_ATTEMPTS: Final = 4
PAGE_SIZE: Final = 20


@dataclass(slots=True)
class Told:
    """What came of all calls.

    Args:
        calls: How many were made.
        whole: Of how many a whole page came in the end.
        personal: How many of those a model had ranked.
        again: Attempts beyond the first.
        codes: How attempts failed.
        max_ms: Longest wait for a page, all attempts together.
    """

    calls: int = 0
    whole: int = 0
    personal: int = 0
    again: int = 0
    codes: dict[str, int] = field(default_factory=dict)
    max_ms: float = 0.0


class EitherCaller(Caller):
    """The caller's process, from its making until `finish`.

    Args:
        targets: The bridges.
        rps: Calls a second.
    """

    def __init__(self, targets: Sequence[str], rps: int) -> None:
        super().__init__([sys.executable, "-m", "tests.chaos.either_caller", str(rps), *targets])

    def finish(self, bound_s: float = 30.0) -> Told:
        """Lets it end; returns what came of its calls."""
        told, said = self._process.communicate(input="", timeout=bound_s)
        assert self._process.returncode == 0, said
        return Told(**json.loads(told))


class _Calls:
    def __init__(self, stubs: Sequence["recommendations_pb2_grpc.RecommendationServiceAsyncStub"]) -> None:
        self._stubs = stubs
        self._metadata = proof()
        self._running: set[asyncio.Task[None]] = set()
        self.told = Told()

    async def run(self, rps: int, stopped: asyncio.Event) -> None:
        start = time.monotonic()
        while not stopped.is_set():
            await asyncio.sleep(max(0.0, start + self.told.calls / rps - time.monotonic()))
            task = asyncio.create_task(self._call(self.told.calls))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            self.told.calls += 1
        await asyncio.gather(*self._running)

    async def _call(self, number: int) -> None:
        start = time.monotonic()
        for attempt in range(MOST_ATTEMPTS):
            self.told.again += attempt > 0
            if await self._attempt(number, self._stubs[(number + attempt) % len(self._stubs)]):
                break
        self.told.max_ms = max(self.told.max_ms, (time.monotonic() - start) * 1000)

    async def _attempt(self, number: int, stub: "recommendations_pb2_grpc.RecommendationServiceAsyncStub") -> bool:
        request = pb.GetRecommendationsRequest(user_id=f"u{number % 500 + 1}", page_size=PAGE_SIZE)
        try:
            page = await stub.GetRecommendations(request, timeout=ATTEMPT_S, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            name = error.code().name
            self.told.codes[name] = self.told.codes.get(name, 0) + 1
            return False
        self.told.whole += len({each.video_id for each in page.recommendations}) == PAGE_SIZE
        self.told.personal += page.source == pb.LIGHTFM
        return True


async def _run(rps: int, targets: Sequence[str]) -> Told:
    channels = [grpc.aio.insecure_channel(target, options=list(RECONNECT.items())) for target in targets]
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), stopped.set)
    await asyncio.gather(*(channel.channel_ready() for channel in channels))
    calls = _Calls([recommendations_pb2_grpc.RecommendationServiceStub(channel) for channel in channels])
    await calls.run(rps, stopped)
    asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
    for channel in channels:
        await channel.close()
    return calls.told


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(asyncio.run(_run(int(sys.argv[1]), sys.argv[2:])))))
