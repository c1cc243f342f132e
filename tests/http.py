"""A plain HTTP client for tests: one request, one connection, standard library only."""

import asyncio
import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What came back; header names in lower case, those that are given several times joined by commas."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.text)


def call_now(
    port: int,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
    *,
    address: str = "127.0.0.1",
) -> Answer:
    """Sends one request to a port, of this machine if nothing else is said; in plain text without `tls`."""
    connection = (
        http.client.HTTPSConnection(address, port, timeout=30, context=tls)
        if tls
        else http.client.HTTPConnection(address, port, timeout=30)
    )
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        found: dict[str, str] = {}
        for name, value in answer.getheaders():
            known = found.get(name.lower())
            found[name.lower()] = value if known is None else f"{known}, {value}"
        return Answer(answer.status, found, answer.read().decode())
    finally:
        connection.close()


async def call(
    port: int, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """The same, without holding up the loop."""
    return await asyncio.to_thread(call_now, port, method, path, body, headers)


def post_json(port: int, path: str, payload: Any) -> Answer:
    """Posts JSON."""
    return call_now(port, "POST", path, json.dumps(payload).encode(), {"content-type": "application/json"})
