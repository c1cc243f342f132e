"""The real bridge on its own: a scripted scorer beside it, invented lists, and nothing else needed."""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Self

from prometheus_client import CollectorRegistry
from starlette.routing import BaseRoute

from bridge.app import BridgeApp, build
from bridge.settings import BridgeSettings
from fakes.bridge import invented
from fakes.bridge.pages import PageActs, ScriptedPages, scripted_route
from fakes.scorer import control
from fakes.scorer.server import FakeScorer
from fakes.script.acts import NO_SCRIPT, Fallback, Script
from fakes.script.problems import ScriptError
from fakes.script.reading import read
from runtime.errors import Violation
from runtime.process import Service
from runtime.servers.grpc_server import GrpcService
from runtime.settings import load


class FakeBridge:
    """A bridge by a script; `async with FakeBridge(...)` listens.

    Args:
        script: What it and its scorer do; it can be replaced at any time, but for the lists.
        host: Address to listen on.
        port: gRPC; 0 takes a free one.
        http_port: REST, metrics and control; 0 takes a free one.
        environ: Settings of the bridge, such as FEED_BRIDGE_DEADLINE_MS.
    """

    def __init__(
        self,
        script: Script = NO_SCRIPT,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        http_port: int = 0,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._script = script
        self._host = host
        self._environ = environ or {}
        self._running = AsyncExitStack()
        self.port = port
        self.http_port = http_port
        self.scorer = FakeScorer(script, relay=True)

    def take(self, text: str) -> Script:
        """Reads a script and plays it; raises ScriptError, and then the old one goes on."""
        script = read(text, bridge=True)
        if script.fallback is not self._script.fallback:
            raise ScriptError([Violation("fallback", f"stays {self._script.fallback} until the fake is started anew")])
        self.scorer.play(script)
        return script

    async def __aenter__(self) -> Self:
        """Listens."""
        async with AsyncExitStack() as opened:
            await opened.enter_async_context(self.scorer)
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="feed-fake-bridge-")))
            settings = self._settings(folder)
            invented.fill(settings.effective_database_url, self._script.videos, self._script.fallback)
            acts = PageActs(self.scorer.stage, settings.bridge_deadline_ms / 1000)
            app = FakeBridgeApp(self, build(settings), acts)
            service = Service(
                "fake-bridge",
                app,
                host=self._host,
                grpc_port=self.port,
                http_port=self.http_port,
                drain_s=1.0,
                guard=control.guard(),
            )
            await opened.enter_async_context(service)
            self.port, self.http_port = service.grpc_port, service.http_port
            self._running = opened.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Ends it."""
        await self._running.aclose()

    def _settings(self, folder: Path) -> BridgeSettings:
        own = {
            "FEED_DATA_DIR": str(folder),
            "FEED_DATABASE_URL": f"sqlite:///{folder / 'feed.db'}",
            "FEED_SCORER_TARGETS": self.scorer.target,
            "FEED_BRIDGE_PRECOMPUTED_ENABLED": str(self._script.fallback is Fallback.PRECOMPUTED),
        }
        # Pages that come of lots are no fixed answers; who wants them says so.
        return load(BridgeSettings, {"FEED_BRIDGE_EXPLORATION": "0", **self._environ, **own})


class FakeBridgeApp:
    """The bridge's process with the script in front of it.

    Args:
        fake: What takes other scripts.
        bridge: The real one.
        acts: What happens to pages.
    """

    def __init__(self, fake: FakeBridge, bridge: BridgeApp, acts: PageActs) -> None:
        self._fake = fake
        self._bridge = bridge
        self._acts = acts

    @property
    def grpc_services(self) -> Sequence[GrpcService]:
        """The bridge's services, scripted."""
        return [
            replace(service, servicer=ScriptedPages(self._acts, service.servicer))
            for service in self._bridge.grpc_services
        ]

    @property
    def http_routes(self) -> Sequence[BaseRoute]:
        """The bridge's routes, scripted, and the control."""
        scorer = self._fake.scorer
        scripted = [scripted_route(self._acts, route) for route in self._bridge.http_routes]
        return [*scripted, *control.routes(scorer.ledger, self._fake.take, scorer.servicer.release)]

    @property
    def registry(self) -> CollectorRegistry:
        """The bridge's metrics."""
        return self._bridge.registry

    async def start(self) -> None:
        """Starts the bridge."""
        self._bridge.registry.register(self._fake.scorer.ledger)
        await self._bridge.start()

    async def stop(self) -> None:
        """Stops the bridge."""
        await self._bridge.stop()

    def not_ready(self) -> str | None:
        """Says what the bridge says."""
        return self._bridge.not_ready()
