"""A real ingest process on the embedded journal, which a test may kill and start again."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eventlog.opening import journal_path
from eventlog.tail import open_tail
from eventlog.topics import INTERACTIONS
from runtime.settings import CommonSettings, load
from tests.chaos.processes import Running
from tests.http import call_now
from tests.system import free_ports

_MAX_RECORDS = 100_000
_CALLS = re.compile(
    r'^(?:grpc_server_handled_total\{.*"RecordInteractions"|feed_http_requests_total\{.*"POST").*\} (\S+)$',
    re.MULTILINE,
)


class EmbeddedIngest(Running):
    """The process; `start` it first.

    Args:
        folder: Of its data and its log.
        common: Settings of every process.
        settings: Its settings, without their prefix.
    """

    def __init__(self, folder: Path, common: Mapping[str, str] | None = None, **settings: object) -> None:
        self.folder = folder
        ports = free_ports()
        grpc_port, http_port = next(ports), next(ports)
        self._settings = load(CommonSettings, {"FEED_DATA_DIR": str(folder)})
        named = {f"FEED_INTERACTIONS_{name.upper()}": str(value) for name, value in settings.items()}
        environ = {
            "FEED_DATA_DIR": str(folder),
            "FEED_DRAIN_DELAY_MS": "0",
            "FEED_INTERACTIONS_GRPC_PORT": str(grpc_port),
            "FEED_INTERACTIONS_HTTP_PORT": str(http_port),
            **named,
            **(common or {}),
        }
        super().__init__("interactions", ["-m", "interactions"], environ, folder, grpc_port, http_port)

    @property
    def url(self) -> str:
        """Of its HTTP server."""
        return f"http://127.0.0.1:{self.http_port}"

    def address(self, way: str) -> str:
        """Returns where a client finds it over `http` or `grpc`."""
        return self.url if way == "http" else self.target

    def stored(self) -> list[dict[str, Any]]:
        """Returns what is in the log, copies included, in its order."""
        if not journal_path(self._settings).exists():
            return []
        log = open_tail(self._settings, INTERACTIONS)
        log.start(from_oldest=True)
        try:
            return [json.loads(record.value) for record in log.poll(_MAX_RECORDS, 0)]
        finally:
            log.close()

    def calls(self) -> float:
        """Returns how many batches came since its last start."""
        return sum(map(float, _CALLS.findall(call_now(self.http_port, "GET", "/metrics").text)))


def ids(events: list[dict[str, Any]]) -> list[str]:
    """Returns the ids of events, in their order."""
    return [event["eventId"] for event in events]


def first_copies(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns each event once: copies are told by their id and must be the same."""
    first: dict[str, dict[str, Any]] = {}
    for event in events:
        assert first.setdefault(event["eventId"], event) == event
    return list(first.values())
