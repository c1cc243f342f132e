"""The services of `deploy/docker/compose.yaml` as processes of this machine: the same commands in the same order."""

import json
import os
import re
import signal
import subprocess
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml  # type: ignore[import-untyped]

from tests.chaos.stores import Table
from tests.http import call_now
from tests.polling import wait_for
from tests.system import ROOT

FILE: Final = ROOT / "deploy/docker/compose.yaml"
IMAGE: Final = "feed-recommendation-bridge"
DATA: Final = "/var/lib/feed"
_VARIABLE: Final = re.compile(r"\$\{(\w+):-([^}]*)\}")
_READY_BOUND_S: Final = 120.0


def services() -> dict[str, dict[str, Any]]:
    """The services of our image, each after those it waits for, with the defaults of all variables."""
    text = _VARIABLE.sub(lambda found: found[2], FILE.read_text())
    ours = {name: each for name, each in yaml.safe_load(text)["services"].items() if each["image"] == IMAGE}
    ordered: dict[str, dict[str, Any]] = {}
    while len(ordered) < len(ours):
        ready = [name for name in ours if name not in ordered and _awaited(ours[name]) & ours.keys() <= ordered.keys()]
        assert ready, f"they wait for each other: {ours.keys() - ordered.keys()}"
        ordered |= {name: ours[name] for name in ready}
    return ordered


def is_server(service: Mapping[str, Any]) -> bool:
    """Whether it runs on, and says whether it is ready."""
    return "healthcheck" in service


def _awaited(service: Mapping[str, Any]) -> set[str]:
    return set(service.get("depends_on", ()))


class PlainMachine:
    """Services that run as processes of this machine.

    Args:
        programs: Where the programs of the image are.
        folder: What the image's data folder is here.
        places: What a host and port of the services is here, such as `kafka:9092`; longer texts first.
        environ: More settings, such as free ports.
    """

    def __init__(self, programs: Path, folder: Path, places: Mapping[str, str], environ: Mapping[str, str]) -> None:
        self._programs = programs
        self.folder = folder
        self._places = places
        self._environ = environ
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def run(self, service: Mapping[str, Any]) -> None:
        """Runs a service that ends by itself."""
        done = subprocess.run(
            self._command(service, service["command"]),
            env=self._environ_of(service),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{service['command']}: {done.stdout}{done.stderr}"

    def start(self, name: str, service: Mapping[str, Any]) -> None:
        """Starts a server."""
        with self._log(name).open("wb") as log:
            self._running[name] = subprocess.Popen(
                self._command(service, service["command"]),
                env=self._environ_of(service),
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )

    def until_healthy(self, name: str, service: Mapping[str, Any]) -> None:
        """Asks a server as Docker does until it is healthy."""
        check, program, *arguments = service["healthcheck"]["test"]
        assert check == "CMD"
        asked = [str(self._programs / program), *arguments]

        def healthy() -> bool:
            assert self._running[name].poll() is None, self._log(name).read_text()
            return (
                subprocess.run(asked, env=self._environ_of(service), capture_output=True, check=False).returncode == 0
            )

        wait_for(healthy, bool, _READY_BOUND_S)

    def stop(self) -> dict[str, int]:
        """Ends all of them as Docker does; returns their exit codes."""
        for process in self._running.values():
            process.send_signal(signal.SIGTERM)
        try:
            return {name: process.wait(60) for name, process in self._running.items()}
        finally:
            for process in self._running.values():
                process.kill()

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _command(self, service: Mapping[str, Any], command: Sequence[str]) -> list[str]:
        entrypoint: Sequence[str] = service.get("entrypoint", [str(self._programs / "feed")])
        return [*entrypoint, *(part.replace(DATA, str(self.folder)) for part in command)]

    def _environ_of(self, service: Mapping[str, Any]) -> dict[str, str]:
        given = {name: self._here(str(value)) for name, value in service["environment"].items()}
        path = f"{self._programs}{os.pathsep}{os.environ['PATH']}"
        return {"PATH": path, "HOME": str(self.folder), "FEED_DATA_DIR": str(self.folder), **given, **self._environ}

    def _here(self, value: str) -> str:
        for place, here in self._places.items():
            value = value.replace(place, here)
        return value.replace(DATA, str(self.folder))


def copy_context(target: Path) -> None:
    """Copies what `Dockerfile.dockerignore` lets Docker see."""
    lines = (ROOT / "deploy/docker/Dockerfile.dockerignore").read_text().splitlines()
    wanted = [line.removeprefix("!") for line in lines if line.startswith("!")]
    unwanted = [f":(exclude){line}" for line in lines[2:] if not line.startswith("!")]
    assert lines[1] == "*"
    for path in _files([*wanted, *unwanted]):
        copied = target / path
        copied.parent.mkdir(parents=True, exist_ok=True)
        copied.write_bytes((ROOT / path).read_bytes())


def _files(names: Sequence[str]) -> Iterator[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *names],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    yield from map(Path, listed.stdout.splitlines())


def works(ports: Mapping[str, int], key: str, database: str) -> None:
    """Asserts that a system does what it is there for: nobody without a key, a personal page, a like in the database.

    Args:
        ports: Of its processes, such as `bridge_http`.
        key: What callers show.
        database: URL.
    """
    path = "/feed/recommendations?userId=u1"
    assert call_now(ports["bridge_http"], "GET", path).status == 401
    shown = {"authorization": f"Bearer {key}"}

    def page() -> Any:
        return call_now(ports["bridge_http"], "GET", path, headers=shown).json

    # The bridge may still be finding the scorer.
    videos = wait_for(page, lambda found: found["source"] == "LIGHTFM")["recommendations"]
    event_id = str(uuid.uuid4())
    event = {
        "userId": "u1",
        "videoId": videos[0]["videoId"],
        "interactionType": "LIKE",
        "timestamp": datetime.now(UTC).isoformat(),
        "eventId": event_id,
    }
    sent = {**shown, "content-type": "application/json"}
    answer = call_now(ports["interactions_http"], "POST", "/feed/interactions", json.dumps(event).encode(), sent)
    assert answer.status == 200
    with closing(Table(database)) as table:
        wait_for(table.ids, lambda ids: event_id in ids)
