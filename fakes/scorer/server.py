"""A scripted scorer that runs: as a process of its own, beside a fake bridge, or inside a test."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Self

from prometheus_client import CollectorRegistry
from starlette.routing import BaseRoute

from fakes.scorer import control
from fakes.scorer.ledger import Ledger
from fakes.scorer.relay import Relay
from fakes.scorer.servicer import ScriptedScorer
from fakes.script.acts import CUTTING, NO_SCRIPT, Script
from fakes.script.problems import ScriptError
from fakes.script.reading import read
from fakes.stage import Stage
from feed.scoring.v1 import scoring_pb2 as pb
from feed.scoring.v1 import scoring_pb2_grpc
from runtime.errors import Violation
from runtime.process import Service
from runtime.servers.grpc_server import GrpcService


class FakeScorer:
    """A scoring server by a script, on real gRPC with the real server edge.

    `async with FakeScorer(...)` listens. It can be killed and started again; the script, the counts and the port stay.

    Args:
        script: What it does; it can be replaced at any time.
        host: Address to listen on.
        port: gRPC; 0 takes a free one.
        http_port: Metrics and control; 0 takes a free one.
        relay: Whether to listen behind a relay, so that a later script may cut connections; without it only when this
            one does.
    """

    def __init__(
        self,
        script: Script = NO_SCRIPT,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        http_port: int = 0,
        relay: bool = False,
    ) -> None:
        self._host = host
        self._relayed = relay or script.cuts
        self._running: AsyncExitStack | None = None
        self.port = port
        self.http_port = http_port
        self.stage = Stage(script)
        self.ledger = Ledger()
        self.servicer = ScriptedScorer(self.stage, self.ledger, datetime.now(UTC))

    @property
    def target(self) -> str:
        """Where a bridge finds it."""
        return f"{self._host}:{self.port}"

    def play(self, script: Script) -> None:
        """Plays another script from now on.

        Raises:
            ScriptError: When it cuts connections and there is no relay; the old one goes on.
        """
        if script.cuts and not self._relayed:
            raise ScriptError(_uncuttable(script))
        self.stage.replace(script)

    def take(self, text: str) -> Script:
        """Reads a script and plays it; raises ScriptError, and then the old one goes on."""
        script = read(text, bridge=False)
        self.play(script)
        return script

    async def start(self) -> None:
        """Listens."""
        async with AsyncExitStack() as opened:
            service = Service(
                "fake-scorer",
                FakeScorerApp(self),
                host=self._host,
                grpc_port=0 if self._relayed else self.port,
                http_port=self.http_port,
                drain_s=0,
                guard=control.guard(),
            )
            await opened.enter_async_context(service)
            self.port, self.http_port = self.port if self._relayed else service.grpc_port, service.http_port
            if self._relayed:
                relay = Relay(self._host, self.port, service.grpc_port)
                opened.push_async_callback(relay.close)
                self.servicer.cutter = relay
                self.port = relay.port
            self._running = opened.pop_all()

    async def kill(self) -> None:
        """Ends it at once, with the calls under way."""
        if self._running is not None:
            await self._running.aclose()
            self._running = None

    async def __aenter__(self) -> Self:
        """Listens."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Ends it."""
        await self.kill()


class FakeScorerApp:
    """The process around a scripted scorer, new at each start.

    Args:
        scorer: The scorer.
    """

    def __init__(self, scorer: FakeScorer) -> None:
        name = pb.DESCRIPTOR.services_by_name["ScoringService"].full_name
        self._stage = scorer.stage
        self.grpc_services: Sequence[GrpcService] = (
            GrpcService(name, scorer.servicer, scoring_pb2_grpc.add_ScoringServiceServicer_to_server),
        )
        self.http_routes: Sequence[BaseRoute] = control.routes(scorer.ledger, scorer.take, scorer.servicer.release)
        self.registry = CollectorRegistry()
        self.registry.register(scorer.ledger)

    async def start(self) -> None:
        """Has nothing to open."""

    async def stop(self) -> None:
        """Has nothing to close."""

    def not_ready(self) -> str | None:
        """Says what the script says."""
        return None if self._stage.serving else "the script says NOT_SERVING"


def _uncuttable(script: Script) -> list[Violation]:
    return [
        Violation(f"acts[{index}]", f"{act.does.value} needs the relay: start the scorer with --relay")
        for index, step in enumerate(script.acts)
        for _, act in step.choices
        if act.does in CUTTING
    ]
