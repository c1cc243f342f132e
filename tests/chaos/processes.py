"""Real processes for chaos tests: started as an operator would, ended by their own id."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.http import call_now
from tests.polling import wait_for
from tests.system import ROOT

BOOT_BOUND_S = 90.0
STOP_BOUND_S = 60.0


@dataclass(frozen=True, slots=True)
class Move:
    """A transition of a breaker, from the bridge's log; `time` in Unix seconds."""

    time: float
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process runs.

    Args:
        address: On which it listens.
        prefix: What comes before a command that is to run there.
    """

    address: str = "127.0.0.1"
    prefix: tuple[str, ...] = ()


class Running:
    """One process.

    Args:
        name: Of its log file.
        command: What is run with Python.
        environ: Its settings.
        folder: Where its log goes.
        grpc_port: Where it serves.
        http_port: Where it says how it is.
        place: Where it runs.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environ: Mapping[str, str],
        folder: Path,
        grpc_port: int,
        http_port: int,
        place: Place = Place(),  # immutable
    ) -> None:
        self.grpc_port = grpc_port
        self.http_port = http_port
        self.place = place
        self._command = [*place.prefix, sys.executable, *command]
        self._environ = {**{key: text for key, text in os.environ.items() if not key.startswith("FEED_")}, **environ}
        self._log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def target(self) -> str:
        """`host:port` of its gRPC server."""
        return f"{self.place.address}:{self.grpc_port}"

    @property
    def pid(self) -> int:
        """Its process id; that of its last start."""
        assert self._process is not None
        return self._process.pid

    def launch(self) -> None:
        """Starts it without waiting."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environ, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT
            )

    def start(self) -> float:
        """Starts it and waits until it is ready; returns when that was, in Unix seconds."""
        self.launch()
        self.wait_until_ready()
        return time.time()

    def is_running(self) -> bool:
        """Says whether it has not ended."""
        return self._process is not None and self._process.poll() is None

    def log_bytes(self) -> bytes:
        """Returns what it has written so far."""
        return self._log.read_bytes()

    def wait_until_ready(self) -> None:
        """Waits until it says so; fails when it ends instead."""
        wait_for(self._is_ready, bool, bound_s=BOOT_BOUND_S)

    def send(self, number: signal.Signals) -> float:
        """Sends a signal; returns when that was, in Unix seconds."""
        assert self._process is not None
        sent = time.time()
        os.kill(self._process.pid, number)
        return sent

    def keep_on(self, cpus: Sequence[int]) -> None:
        """Keeps it, with all its threads, on some CPUs."""
        assert self._process is not None
        for thread in Path(f"/proc/{self._process.pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), cpus)

    def kill(self) -> float:
        """Ends it at once; returns when that was, in Unix seconds."""
        sent = self.send(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()
        return sent

    def stop(self) -> int:
        """Ends it as an operator would; returns its exit code. One that is stopped or hung is killed."""
        if self._process is None or self._process.poll() is not None:
            return 0
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        try:
            return self._process.wait(STOP_BOUND_S)
        finally:
            self._process.kill()
            self._process.wait()

    def answers(self) -> bool:
        """Whether it lives and answers."""
        return call_now(self.http_port, "GET", "/healthz").status == 200

    def events(self, name: str) -> list[dict[str, Any]]:
        """Returns the log lines of one event."""
        lines = self._log.read_text().splitlines()
        entries = [json.loads(line) for line in lines if name in line]
        return [entry for entry in entries if entry.get("event") == name]

    def moves(self) -> list[Move]:
        """Returns how its breakers moved."""
        return [
            Move(datetime.fromisoformat(entry["timestamp"]).timestamp(), entry["old"], entry["new"])
            for entry in self.events("bridge.breaker_moved")
        ]

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"it ended at its start:\n{self._log.read_text()[-4000:]}"
        try:
            return call_now(self.http_port, "GET", "/readyz", address=self.place.address).status == 200
        except OSError:
            return False


class FakeScorer(Running):
    """A scorer by a script (docs/fakes.md), which may be changed at any time; it counts what reaches it."""

    def play(self, script: str) -> None:
        """Plays a script, in TOML, from its beginning, and forgets what was counted."""
        self._control("PUT", "/script", script.encode())
        self._control("POST", "/reset-counts")

    def seen(self, last: int = 0) -> dict[str, Any]:
        """Returns what it counted, and the last attempts."""
        answer = call_now(self.http_port, "GET", f"/calls?last={last}")
        assert answer.status == 200, answer.text
        counts: dict[str, Any] = answer.json
        return counts

    def _control(self, method: str, path: str, body: bytes | None = None) -> None:
        answer = call_now(self.http_port, method, path, body)
        assert answer.status < 300, answer.text
