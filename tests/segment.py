"""Segment as far as its protocol goes: takes batches over HTTP, keeps what arrived, refuses when told to."""

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class SegmentServer:
    """Listens on a free port of loopback from `with` to its end.

    Args:
        refuses: Status of every answer; 0: everything is taken.
        batches: What was taken, batch by batch, as it came.
        keys: The write keys that it came with.
    """

    def __init__(self) -> None:
        self.refuses = 0
        self.batches: list[list[dict[str, Any]]] = []
        self.refused = 0
        self.keys: set[str] = set()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                self.send_response(server.take(self.path, json.loads(body)))
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def host(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def events(self) -> list[dict[str, Any]]:
        """What was taken, in order."""
        return [event for batch in self.batches for event in batch]

    def take(self, path: str, body: dict[str, Any]) -> int:
        """Takes a batch; returns the status."""
        assert path == "/v1/batch"
        if self.refuses:
            self.refused += 1
            return self.refuses
        self.keys.add(body["writeKey"])
        self.batches.append(body["batch"])
        return 200

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
