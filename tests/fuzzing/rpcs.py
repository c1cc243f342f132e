"""Raw bytes at every RPC."""

import asyncio
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

import grpc
from google.protobuf.descriptor import MethodDescriptor
from grpc_health.v1 import health_pb2

from feed.insights.v1 import corrections_pb2, outcomes_pb2
from feed.interactions.v1 import interactions_pb2
from feed.recommendations.v1 import recommendations_pb2
from feed.scoring.v1 import scoring_pb2
from runtime.servers.front_door import KNOCK
from tests.fuzzing import corpus
from tests.fuzzing.judging import Tally, leaks
from tests.fuzzing.messages import hostile, ordinary
from tests.fuzzing.mutations import mutated
from tests.fuzzing.site import Site

# What a server may answer to what is wrong, beside OK.
FINE: Final = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
}
_CONTRACT: Final = (corrections_pb2, outcomes_pb2, interactions_pb2, recommendations_pb2, scoring_pb2, health_pb2)
METHODS: Final[Mapping[str, MethodDescriptor]] = {
    f"/{service.full_name}/{method.name}": method
    for module in _CONTRACT
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
# A server that has not answered by then hangs, whatever the machine does, in seconds.
_BOUND_S: Final = 30.0
# A larger message is gRPC's own to refuse, before any code of ours.
MAX_BYTES: Final = 1_048_576
# It answers for hours, to a message that was read; grpcio's own servicer for grpc.aio lacks the other.
LEFT_OUT: Final = ("/grpc.health.v1.Health/Watch", "/grpc.health.v1.Health/List")


@dataclass(frozen=True)
class Rpc:
    """An RPC of a running process."""

    path: str
    method: MethodDescriptor

    async def call(self, to: "Connections", sent: Sequence[bytes]) -> Any:
        """Calls it with raw messages."""
        if self.method.client_streaming:
            # Not grpc.aio's client: one that still writes when a call ends may report INTERNAL instead of the status.
            streamed: Any = to.blocking.stream_unary(self.path)
            return await asyncio.to_thread(streamed, iter(sent), timeout=_BOUND_S)
        single: Any = to.channel.unary_unary(self.path)
        return await single(sent[0], timeout=_BOUND_S)


@dataclass(frozen=True)
class Connections:
    """To one process."""

    channel: grpc.aio.Channel
    blocking: grpc.Channel


def inputs(rpc: Rpc, rng: random.Random) -> Iterator[Sequence[bytes]]:
    """Yields what is in order, the corpus, then mutations without end: of messages, of their bytes, of the corpus."""
    known = corpus.protobuf(rpc.path)
    yield (ordinary(rpc.method.input_type, rng).SerializeToString(),)
    yield from ((each,) for each in known)
    while True:
        yield [_one(rpc, known, rng) for _ in range(rng.randrange(5) if rpc.method.client_streaming else 1)]


def _one(rpc: Rpc, known: Sequence[bytes], rng: random.Random) -> bytes:
    kind = rng.random()
    if kind < 0.45:
        return hostile(rpc.method.input_type, rng).SerializePartialToString()[:MAX_BYTES]
    seed = ordinary(rpc.method.input_type, rng).SerializePartialToString()
    return mutated(seed if kind < 0.85 else rng.choice(known), known, rng)[:MAX_BYTES]


async def fuzz(site: Site, count: int, seed: int) -> Tally:
    """Sends so many inputs in all, to every RPC in turn, over one connection to each process."""
    tally = Tally()
    by_process: dict[str, list[Rpc]] = {}
    for process, path in site.rpcs():
        if path not in LEFT_OUT:
            by_process.setdefault(process, []).append(Rpc(path, METHODS[path]))
    share = -(-count // sum(map(len, by_process.values())))
    async with AsyncExitStack() as stack:
        work = []
        for process, rpcs in by_process.items():
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(site.processes[process].target))
            await channel.channel_ready()
            stack.callback(asyncio.create_task(_watch(channel, tally)).cancel)
            blocking = stack.enter_context(grpc.insecure_channel(site.processes[process].target))
            work.append(_fuzz_all(rpcs, Connections(channel, blocking), share, seed, tally))
        await asyncio.gather(*work)
        await tally.ask_late_ones_again()
    return tally


async def _fuzz_all(rpcs: Sequence[Rpc], to: Connections, share: int, seed: int, tally: Tally) -> None:
    made = [(rpc, inputs(rpc, random.Random(f"{seed} {rpc.path}"))) for rpc in rpcs]
    for _ in range(share):
        for rpc, each in made:
            await _send(rpc, to, next(each), tally)


async def _send(rpc: Rpc, to: Connections, sent: Sequence[bytes], tally: Tally) -> None:
    start = time.perf_counter()
    code, told = await _answer(rpc, to, sent)
    elapsed_s = time.perf_counter() - start
    tally.inputs += 1
    if code is grpc.StatusCode.OK:
        tally.reached.add(rpc.path)
    else:
        tally.refused += 1
        tally.took(elapsed_s, rpc.path, lambda: _again(rpc, to, sent), sent)
    if code not in FINE and b"".join(sent) != KNOCK:
        tally.find(rpc.path, f"answers {code.name}", sent)
    for leak in leaks(told, b"".join(sent)):
        tally.find(rpc.path, f"tells {leak!r}", sent)


async def _again(rpc: Rpc, to: Connections, sent: Sequence[bytes]) -> None:
    await _answer(rpc, to, sent)


async def _answer(rpc: Rpc, to: Connections, sent: Sequence[bytes]) -> tuple[grpc.StatusCode, str]:
    """Returns the code of an answer, and all of it as text."""
    try:
        return grpc.StatusCode.OK, (await rpc.call(to, sent)).decode("latin-1")
    except grpc.RpcError as error:
        failed: Any = error
        details = [value if isinstance(value, bytes) else value.encode() for _, value in failed.trailing_metadata()]
        return failed.code(), b"\n".join([(failed.details() or "").encode(), *details]).decode("latin-1")


async def _watch(channel: grpc.aio.Channel, tally: Tally) -> None:
    """Counts how often the connection is lost."""
    state = channel.get_state()
    while True:
        await channel.wait_for_state_change(state)
        was, state = state, channel.get_state()
        tally.reconnects += was is grpc.ChannelConnectivity.READY and state is not was
