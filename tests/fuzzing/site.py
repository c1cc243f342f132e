"""What is fuzzed: the four servers as an operator runs them, on one data directory. Nobody is asked who he is."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from runtime.access.policy import POLICY
from runtime.models import bundle_files
from runtime.secrets.signing import load_or_create_private_key
from storage.database import sync_engine
from storage.tables import model_corrections
from tests.chaos.processes import Running
from tests.http import call_now
from tests.integration.bridge.conftest import fill
from tests.model_bundles import arrays_of, manifest_of
from tests.system import free_ports

# Part of every path that a server could tell.
CANARY: Final = "canary-5e1f0c"
# A correction that there is.
CORRECTION: Final = "c1"
_NAMES: Final = ("scorer", "bridge", "interactions", "insights")
_OWN: Final = ("/healthz", "/readyz", "/metrics", "/openapi.json")
_ROUTES_OF: Final = {
    "bridge": ("/feed/recommendations", "/feed/explanation"),
    "interactions": ("/feed/interactions", "/api/track", "/tracker.js"),
}
_SERVICES_OF: Final = {
    "bridge": "feed.recommendations.",
    "interactions": "feed.interactions.",
    "insights": "feed.insights.",
    "scorer": "feed.scoring.",
}


@dataclass(frozen=True)
class Site:
    """The running servers, by name."""

    processes: Mapping[str, Running]

    def rpcs(self) -> Iterator[tuple[str, str]]:
        """Yields each RPC with the process to ask."""
        for row in POLICY:
            if row.startswith("/"):
                found = (name for name, prefix in _SERVICES_OF.items() if row[1:].startswith(prefix))
                yield next(found, "scorer"), row

    def routes(self) -> Iterator[tuple[str, str]]:
        """Yields each route with the process to ask."""
        for row in POLICY:
            path = row.partition(" ")[2]
            if path:
                found = (name for name, paths in _ROUTES_OF.items() if path in paths)
                yield next(found, "scorer" if path in _OWN else "insights"), row

    def log_lines(self) -> Iterator[bytes]:
        """Yields what all have written so far, line by line as a log shipper cuts it."""
        for process in self.processes.values():
            yield from process.log_bytes().splitlines()

    def failures(self) -> list[dict[str, Any]]:
        """Returns what they have written of requests that failed; a busy machine has other errors."""
        entries = (json.loads(line) for line in self.log_lines() if b'"level": "error"' in line)
        return [entry for entry in entries if "request_id" in entry]

    def series(self) -> dict[str, int]:
        """Returns how many metrics each has."""
        return {name: sum(not line.startswith("#") for line in self.metrics(name).splitlines()) for name in _NAMES}

    def metrics(self, name: str) -> str:
        """Returns the metrics of a process."""
        return call_now(self.processes[name].http_port, "GET", "/metrics").text

    def ended(self) -> list[str]:
        """Returns which processes are no more."""
        return [name for name, process in self.processes.items() if not process.is_running()]


@contextmanager
def site(parent: Path) -> Iterator[Site]:
    """Runs the servers."""
    folder = parent / CANARY
    folder.mkdir()
    url = f"sqlite:///{folder / 'feed.db'}"
    fill(url)
    _publish(folder)
    _correct(url)
    ports = free_ports()
    at = {name: (next(ports), next(ports)) for name in _NAMES}
    common = {
        "FEED_DATA_DIR": str(folder),
        "FEED_DATABASE_URL": url,
        "FEED_LOG_LEVEL": "DEBUG",  # each call has its line
        "FEED_DRAIN_DELAY_MS": "0",
        "FEED_SCORER_TARGETS": f"127.0.0.1:{at['scorer'][0]}",
    }
    with ExitStack() as closing:
        made: dict[str, Running] = {}
        for name, (grpc_port, http_port) in at.items():
            own = {
                f"FEED_{name.upper()}_GRPC_PORT": str(grpc_port),
                f"FEED_{name.upper()}_HTTP_PORT": str(http_port),
            }
            made[name] = Running(name, ("-m", name), {**common, **own}, folder, grpc_port, http_port)
            closing.callback(made[name].stop)
            made[name].launch()
        for process in made.values():
            process.wait_until_ready()
        yield Site(made)


def _correct(url: str) -> None:
    """Writes a correction, so that there is one to ask for."""
    engine = sync_engine(url)
    with engine.begin() as connection:
        row = {"correction_id": CORRECTION, "video_id": "e00", "correction_type": "BOOST", "correction_value": 1.0}
        told = {"reason": "a", "admin_id": "a", "is_active": True, "created_at": datetime.now(UTC)}
        connection.execute(sa.insert(model_corrections), row | told)
    engine.dispose()


def _publish(folder: Path) -> None:
    arrays = arrays_of({f"u{number}": (0.0, 1.0, 0.0) for number in range(1, 4)}, [f"e{n:02}" for n in range(40)])
    key = load_or_create_private_key(folder / "keys" / "model_signing.pem")
    bundle_files.publish(folder / "models", manifest_of("m1"), arrays, key)
    bundle_files.promote(folder / "models", "m1")
