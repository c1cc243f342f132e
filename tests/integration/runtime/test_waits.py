"""How long work waits is known: for its turn in the event loop, and in gRPC before Python takes a call."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import grpc
import pytest
from prometheus_client import CollectorRegistry

from feed.interactions.v1 import interactions_pb2 as pb
from feed.interactions.v1 import interactions_pb2_grpc as services
from runtime.loop_lag import LoopLag
from runtime.process import Service
from runtime.servers.front_door import FrontDoor
from runtime.servers.grpc_server import GrpcService
from tests.polling import until

NAME = "feed.interactions.v1.InteractionService"
METHOD = f"/{NAME}/RecordInteractions"
BUSY_S = 0.02


class Busy(services.InteractionServiceServicer):
    """Takes the whole processor for each call, and asks what the call has waited, as a service does."""

    def __init__(self, door: FrontDoor) -> None:
        self._door = door
        self.waits_s: list[float] = []

    async def RecordInteractions(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        self.waits_s.append(self._door.lag_s(time.monotonic()))
        time.sleep(BUSY_S)  # noqa: ASYNC251  # the point
        return pb.RecordInteractionsResponse()

    async def RecordInteraction(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return pb.RecordInteractionResponse()

    async def StreamInteractions(self, _requests: Any, _context: Any) -> Any:  # noqa: N802
        return pb.StreamInteractionsResponse()


class BusyApp:
    def __init__(self, max_waiting: int) -> None:
        self.door = FrontDoor(METHOD, max_waiting=max_waiting, busy_calls=2)
        self.handler = Busy(self.door)
        add = services.add_InteractionServiceServicer_to_server
        self.grpc_services = [GrpcService(NAME, self.handler, add, self.door)]
        self.http_routes: list[Any] = []
        self.registry = CollectorRegistry()

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def not_ready(self) -> str | None:
        return None

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0


Call = Callable[[], Coroutine[Any, Any, grpc.StatusCode]]


@pytest.fixture(params=[1_000])
async def app(request: pytest.FixtureRequest) -> AsyncIterator[tuple[BusyApp, Call]]:
    """A busy process and a way to call it."""
    made = BusyApp(request.param)
    async with Service("busy", made) as running, grpc.aio.insecure_channel(f"127.0.0.1:{running.grpc_port}") as channel:
        stub = services.InteractionServiceStub(channel)

        async def call() -> grpc.StatusCode:
            code: grpc.StatusCode = await stub.RecordInteractions(pb.RecordInteractionsRequest()).code()
            return code

        yield made, call


async def test_a_loop_that_is_held_up_is_late() -> None:
    told: list[float] = []
    lag = LoopLag(told.append)
    assert lag.lag_s(time.monotonic()) == 0.0
    lag.start()
    time.sleep(0.05)  # noqa: ASYNC251  # the point
    assert lag.lag_s(time.monotonic()) >= 0.03
    await until(lambda: _answer(bool(told)), True)
    assert told[0] >= 0.03
    lag.stop()
    assert lag.lag_s(time.monotonic()) == 0.0


async def test_what_waits_in_grpc_is_seen(app: tuple[BusyApp, Call]) -> None:
    """60 calls of 20 ms each: the last waits more than a second, nearly all of it where Python sees nothing."""
    made, call = app
    codes = await asyncio.gather(*(call() for _ in range(60)))
    assert set(codes) == {grpc.StatusCode.OK}
    assert max(made.handler.waits_s) >= 10 * BUSY_S


async def test_when_the_rush_is_over_nobody_waits(app: tuple[BusyApp, Call]) -> None:
    made, call = app
    await asyncio.gather(*(call() for _ in range(30)))

    async def calm() -> bool:
        return made.door.lag_s(time.monotonic()) < BUSY_S

    await until(calm, True)


async def test_knocks_are_measured_and_not_counted_as_calls(app: tuple[BusyApp, Call]) -> None:
    made, call = app
    await asyncio.gather(*(call() for _ in range(40)))

    async def measured() -> bool:
        return made.count("feed_process_call_wait_seconds_count") > 0

    await until(measured, True)
    counted = {"grpc_type": "unary", "grpc_service": NAME, "grpc_method": "RecordInteractions"}
    assert made.count("grpc_server_handled_total", **counted, grpc_code="OK") == 40
    assert made.count("grpc_server_handled_total", **counted, grpc_code="OUT_OF_RANGE") == 0


async def test_an_idle_process_does_not_knock(app: tuple[BusyApp, Call]) -> None:
    made, call = app
    await call()

    async def beats() -> bool:
        return made.count("feed_process_loop_lag_seconds_count") > 30

    await until(beats, True)
    assert made.count("feed_process_call_wait_seconds_count") == 0


@pytest.mark.parametrize("app", [4], indirect=True)
async def test_of_too_many_waiting_calls_grpc_refuses_some_itself(app: tuple[BusyApp, Call]) -> None:
    """No call waits behind more than the bound; those refused are CANCELLED, gRPC's own word (docs/decisions/0014)."""
    _made, call = app
    codes = await asyncio.gather(*(call() for _ in range(60)))
    assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.CANCELLED}


async def _answer(value: bool) -> bool:
    return value
