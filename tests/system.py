"""The whole system as a user runs it: `feed up` in a folder of its own, on free ports."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import grpc

from deploy.local.process import free_port
from feed.interactions.v1 import interactions_pb2_grpc
from feed.recommendations.v1 import recommendations_pb2 as pb
from feed.recommendations.v1 import recommendations_pb2_grpc
from tests.http import call_now
from tests.polling import wait_for

ROOT = Path(__file__).parent.parent
READY_BOUND_S = 240.0
PAGE_TIMEOUT_S = 5.0

GRPC = ("bridge", "scorer", "interactions", "insights")
HTTP = ("bridge", "scorer", "interactions", "sink", "insights", "trainer")


class System:
    """A running system.

    Args:
        folder: Its data directory.
        arguments: Arguments of `feed up`.
        environ: More settings.
    """

    def __init__(self, folder: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self._arguments = arguments
        self._ports = dict(zip([("grpc", n) for n in GRPC] + [("http", n) for n in HTTP], free_ports(), strict=False))
        named = {f"FEED_{name.upper()}_{kind.upper()}_PORT": str(port) for (kind, name), port in self._ports.items()}
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("FEED_")},
            **named,
            "FEED_DATA_DIR": str(folder),
            "FEED_SCORER_TARGETS": f"127.0.0.1:{self._ports['grpc', 'scorer']}",
            "FEED_TRAINER_MLFLOW_ENABLED": "false",  # its start takes longer than a training
            **(environ or {}),
        }
        self._closing = ExitStack()
        self._channels: dict[str, grpc.Channel] = {}

    def grpc_port(self, name: str) -> int:
        return self._ports["grpc", name]

    def http_port(self, name: str) -> int:
        return self._ports["http", name]

    def pid(self, name: str) -> int:
        """Of a process; waits while it is being written anew."""
        return int(wait_for((self.folder / "run" / f"{name}.pid").read_text, bool))

    def feed(self, *arguments: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Runs one `feed` command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "deploy.cli", *arguments],
            env={**self.environ, **self.servers(), **(environ or {})},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def servers(self) -> dict[str, str]:
        """The settings of the real servers that it started; empty when it is embedded."""
        lines = (self.folder / "run" / "env").read_text().splitlines()
        return {name: shlex.split(value)[0] for name, _, value in (line.partition("=") for line in lines)}

    def start(self) -> None:
        """Starts it and waits until it says that it is ready."""
        self._output = (self.folder / "up.log").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "deploy.cli", "up", *self._arguments],
            env=self.environ,
            cwd=ROOT,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        end = time.monotonic() + READY_BOUND_S
        while "ready after" not in self.output():
            assert self._process.poll() is None, f"feed up ended:\n{self.output()}"
            assert time.monotonic() < end, f"feed up is not ready:\n{self.output()}"
            time.sleep(0.1)  # polled, with a bound

    def until_ready(self) -> None:
        """Waits until every process says that it is ready, such as after faults."""
        for name in HTTP:
            wait_for(partial(self._is_ready, name), bool, READY_BOUND_S)

    def _is_ready(self, name: str) -> bool:
        try:
            return call_now(self.http_port(name), "GET", "/readyz").status == 200
        except OSError:
            return False

    def output(self) -> str:
        """What `feed up` has said so far."""
        return (self.folder / "up.log").read_text()

    def stop(self) -> int:
        """Ends it as Ctrl-C does; returns its exit code."""
        self._closing.close()
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(timeout=120)
        finally:
            self._process.kill()
            self._output.close()

    def recommendations(self) -> recommendations_pb2_grpc.RecommendationServiceStub:
        return recommendations_pb2_grpc.RecommendationServiceStub(self._channel("bridge"))

    def interactions(self) -> interactions_pb2_grpc.InteractionServiceStub:
        return interactions_pb2_grpc.InteractionServiceStub(self._channel("interactions"))

    def page(self, user_id: str, **fields: Any) -> pb.GetRecommendationsResponse:
        """Asks for a page, with more patience than an app: a machine that stands still for a second fails nobody."""
        request = pb.GetRecommendationsRequest(user_id=user_id, **fields)
        return self.recommendations().GetRecommendations(request, timeout=PAGE_TIMEOUT_S)

    def _channel(self, name: str) -> grpc.Channel:
        if name not in self._channels:
            opened = grpc.insecure_channel(f"127.0.0.1:{self.grpc_port(name)}")
            self._channels[name] = self._closing.enter_context(opened)
        return self._channels[name]


def free_ports() -> Iterator[int]:
    """Yields ports that nobody listens on, each a different one."""
    given: set[int] = set()
    while True:
        port = free_port()
        if port not in given:
            given.add(port)
            yield port
