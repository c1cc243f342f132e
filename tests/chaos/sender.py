"""Sends interactions at a fixed rate, whether or not the last ones were acknowledged, until SIGTERM.

What was not acknowledged is sent again under the same ids, as a phone does. Each attempt is one JSON line in a file.
Run by `sending.py`, in a process of its own, so that neither side waits for the other's interpreter.
"""

import argparse
import asyncio
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Final, TextIO

import grpc
import msgspec

from feed.interactions.v1 import interactions_pb2 as pb
from feed.interactions.v1 import interactions_pb2_grpc
from tests.chaos.events import Stream, message

CALL_TIMEOUT_S: Final = 10.0
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0
# A service that comes back must not wait for its callers' patience.
CHANNEL: Final = (("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 500))
# Holds the API key that callers show, where one is asked for.
KEY_VARIABLE: Final = "CALLER_KEY"
# No other attempt helps.
HOPELESS: Final = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED}
# How an attempt ends that was still under way when the sender had to.
GIVEN_UP: Final = "GIVEN_UP"
STATUSES: Final = {pb.ACCEPTED: "A", pb.DUPLICATE: "D", pb.REJECTED: "R"}


class Attempt(msgspec.Struct, frozen=True):
    """One call with a batch.

    Args:
        first: Number of the first event.
        count: How many events.
        sent_ms: Wall time of the first attempt, in Unix milliseconds.
        attempt: From 1.
        start_s: When it was made, in monotonic seconds, which all processes of a machine share.
        late_ms: How much later than it was due, in milliseconds; 0 from the second attempt on.
        latency_ms: How long it took.
        code: How it ended, such as `OK`.
        durability: Where the events are, such as `KAFKA`; empty when they were not acknowledged.
        statuses: A letter an event (A, D, R); empty when they were not acknowledged.
        reason: What the first rejected event was told, or the failed call.
    """

    first: int
    count: int
    sent_ms: int
    attempt: int
    start_s: float
    late_ms: float
    latency_ms: float
    code: str
    durability: str = ""
    statuses: str = ""
    reason: str = ""

    @property
    def end_s(self) -> float:
        """When its answer was there, in monotonic seconds."""
        return self.start_s + self.latency_ms / 1000


def proof() -> tuple[tuple[str, str], ...]:
    """Returns the metadata by which a caller shows its key; nothing without one."""
    key = os.environ.get(KEY_VARIABLE)
    return (("authorization", f"Bearer {key}"),) if key else ()


class Batches:
    """Sends batches.

    Args:
        stub: Who takes them.
        stream: What is sent.
        size: Events a batch.
        out: Takes the attempts.
    """

    def __init__(
        self, stub: "interactions_pb2_grpc.InteractionServiceAsyncStub", stream: Stream, size: int, out: TextIO
    ) -> None:
        self._stub = stub
        self._stream = stream
        self._size = size
        self._out = out
        self._metadata = proof()
        self._open: set[asyncio.Task[None]] = set()

    async def run(self, rate: float, count: int, stopping: asyncio.Event) -> None:
        """Starts batches at their times.

        Args:
            rate: Events a second.
            count: Events in all; 0: until stopped.
            stopping: Ends it.
        """
        begin_s = time.monotonic()
        for number in range(0, count or sys.maxsize, self._size):
            due_s = begin_s + number / rate
            if await _is_set(stopping, due_s - time.monotonic()):
                return
            size = min(self._size, count - number) if count else self._size
            self._start(number, size, due_s)

    async def drain(self, bound_s: float) -> None:
        """Waits until all is acknowledged, or gives up."""
        if self._open:
            await asyncio.wait(self._open, timeout=bound_s)
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def _start(self, first: int, size: int, due_s: float) -> None:
        task = asyncio.create_task(self._deliver(first, size, due_s))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _deliver(self, first: int, size: int, due_s: float) -> None:
        sent_ms = time.time_ns() // 1_000_000
        events = [message(self._stream.event(number, sent_ms)) for number in range(first, first + size)]
        request = pb.RecordInteractionsRequest(interactions=events)
        late_ms = (time.monotonic() - due_s) * 1000
        attempt, pause_s = 1, FIRST_PAUSE_S
        while True:
            start_s = time.monotonic()
            told, final = {"code": GIVEN_UP}, True
            try:
                told, final = await self._call(request)
            finally:
                latency_ms = (time.monotonic() - start_s) * 1000
                self._write(Attempt(first, size, sent_ms, attempt, start_s, late_ms, latency_ms, **told))
            if final:
                return
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
            attempt, pause_s, late_ms = attempt + 1, min(LONGEST_PAUSE_S, pause_s * 2), 0.0

    async def _call(self, request: pb.RecordInteractionsRequest) -> tuple[dict[str, str], bool]:
        """Returns what came of one call, and whether that is the end of it."""
        try:
            answer = await self._stub.RecordInteractions(request, timeout=CALL_TIMEOUT_S, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            return {"code": error.code().name, "reason": error.details() or ""}, error.code() in HOPELESS
        rejected = [f"{each.field} {each.reason}" for each in answer.results if each.status == pb.REJECTED]
        return {
            "code": "OK",
            "durability": pb.Durability.Name(answer.durability),
            "statuses": "".join(STATUSES[each.status] for each in answer.results),
            "reason": rejected[0] if rejected else "",
        }, True

    def _write(self, attempt: Attempt) -> None:
        self._out.write(msgspec.json.encode(attempt).decode() + "\n")


async def _is_set(event: asyncio.Event, timeout_s: float) -> bool:
    """Waits for an event, at least until others had their turn."""
    if timeout_s <= 0:
        await asyncio.sleep(0)
        return event.is_set()
    try:
        async with asyncio.timeout(timeout_s):
            return await event.wait()
    except TimeoutError:
        return False


async def _main(given: argparse.Namespace, out: TextIO) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    stream = Stream(given.run, given.users, given.age_ms, given.start_ms, given.step_ms, given.repeats)
    async with grpc.aio.insecure_channel(given.target, options=CHANNEL) as channel:
        await channel.channel_ready()
        stub = interactions_pb2_grpc.InteractionServiceStub(channel)
        batches = Batches(stub, stream, given.batch, out)
        await batches.run(given.rate, given.count, stopping)
        await batches.drain(given.drain_s)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--run", required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--drain-s", type=float, required=True)
    for name in ("--batch", "--users", "--age-ms", "--start-ms", "--step-ms", "--count"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--repeats", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    GIVEN = _arguments()
    with Path(GIVEN.out).open("a", buffering=1) as OUT:
        asyncio.run(_main(GIVEN, OUT))
