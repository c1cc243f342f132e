"""Load for the ingest service, from a process of its own: `ingest_load.py PORT EVENTS [--batch 100] [--rps 0]`.

The batches are bytes before the first one is sent, and the answers are not parsed, so that sending one costs this
process less than taking it costs the service. What was taken, the service's own counters say. Prints one JSON line.
"""

import argparse
import asyncio
import json
import random
import time
import uuid
from collections.abc import Iterator
from typing import Any

import grpc
import uvloop

from feed.interactions.v1 import interactions_pb2 as pb

METHOD = "/feed.interactions.v1.InteractionService/RecordInteractions"
CONNECTIONS = 2
TIMEOUT_S = 10.0


def batches(events: int, size: int) -> list[bytes]:
    """Makes the requests: views of a thousand users, each under its own id, the ids in no order."""
    ids = random.Random()  # other ones each time: a copy of a recent event is not published again
    return [_batch(range(first, min(first + size, events)), ids) for first in range(0, events, size)]


def _batch(numbers: range, ids: random.Random) -> bytes:
    request = pb.RecordInteractionsRequest()
    for number in numbers:
        made = request.interactions.add(
            event_id=str(uuid.UUID(int=ids.getrandbits(128), version=4)),
            user_id=f"u{number % 1000}",
            video_id=f"v{number % 777}",
            interaction_type=pb.VIEW,
            watch_time_s=12.5,
        )
        made.timestamp.GetCurrentTime()
    return request.SerializeToString()


class Client:
    """Sends requests over a few connections and keeps how long each took, in seconds."""

    def __init__(self, channels: list[Any]) -> None:
        self._calls = [channel.unary_unary(METHOD) for channel in channels]
        self.took_s: list[float] = []
        self.failed = 0

    async def send(self, number: int, request: bytes) -> None:
        """Sends one."""
        start_s = time.perf_counter()
        try:
            await self._calls[number % len(self._calls)](request, timeout=TIMEOUT_S)
        except grpc.aio.AioRpcError:
            self.failed += 1
        self.took_s.append(time.perf_counter() - start_s)

    async def closed_loop(self, requests: list[bytes], in_flight: int) -> None:
        """Sends all of them, so many at a time."""
        queue: Iterator[tuple[int, bytes]] = iter(enumerate(requests))

        async def caller() -> None:
            for number, request in queue:
                await self.send(number, request)

        await asyncio.gather(*(caller() for _ in range(in_flight)))

    async def open_loop(self, requests: list[bytes], rps: float) -> None:
        """Sends each at its time, whether or not the ones before are answered."""
        begin_s = time.perf_counter()
        sent = []
        for number, request in enumerate(requests):
            await asyncio.sleep(begin_s + number / rps - time.perf_counter())
            sent.append(asyncio.create_task(self.send(number, request)))
        await asyncio.gather(*sent)


async def load(port: int, requests: list[bytes], rps: float, in_flight: int) -> dict[str, float]:
    """Sends everything; returns what the callers saw."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) for _ in range(CONNECTIONS)]
    for channel in channels:
        await channel.channel_ready()
    client = Client(channels)
    start_s, start_cpu_s = time.perf_counter(), time.process_time()
    await (client.open_loop(requests, rps) if rps else client.closed_loop(requests, in_flight))
    elapsed_s, cpu_s = time.perf_counter() - start_s, time.process_time() - start_cpu_s
    for channel in channels:
        await channel.close()
    took_s = sorted(client.took_s)
    shares = {f"p{share}_ms": took_s[len(took_s) * share // 100] * 1000 for share in (50, 95, 99)}
    return {"elapsed_s": elapsed_s, "cpu_s": cpu_s, "failed": client.failed, **shares}


def main() -> None:
    """Sends what the arguments say."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("events", type=int)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--rps", type=float, default=0.0, help="batches a second; 0: as many as there can be")
    parser.add_argument("--in-flight", type=int, default=6, help="batches at a time, when `--rps` is 0")
    given = parser.parse_args()
    requests = batches(given.events, given.batch)
    print(json.dumps(uvloop.run(load(given.port, requests, given.rps, given.in_flight))))


if __name__ == "__main__":
    main()
