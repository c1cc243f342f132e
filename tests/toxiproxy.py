"""Toxiproxy: a TCP proxy that makes a connection slow or broken, driven over its HTTP API."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local.process import port_is_free
from tests.http import call_now
from tests.polling import wait_for
from tests.system import free_ports
from tests.tools import TOXIPROXY, needed


class Proxy:
    """One proxied port.

    Args:
        api: Port of the server's API.
        port: Where clients connect.
    """

    def __init__(self, api: int, port: int) -> None:
        self.port = port
        self._api = api
        self._toxics = 0

    @property
    def target(self) -> str:
        """`host:port` for clients."""
        return f"127.0.0.1:{self.port}"

    def add(self, kind: str, *, to_upstream: bool = False, **attributes: int) -> None:
        """Makes what the upstream sends ill, on old connections and new ones; as `latency` with `latency` in ms.

        With `to_upstream`, what the clients send.
        """
        self._toxics += 1
        stream = "upstream" if to_upstream else "downstream"
        toxic = {"name": f"toxic-{self._toxics}", "type": kind, "stream": stream, "attributes": attributes}
        ask(self._api, "POST", f"/proxies/{self.port}/toxics", toxic)

    def cut(self) -> None:
        """Closes its connections and takes no new ones."""
        ask(self._api, "POST", f"/proxies/{self.port}", {"enabled": False})

    def heal(self) -> None:
        """Removes every toxic and takes connections again."""
        ask(self._api, "POST", "/reset")


@contextmanager
def toxiproxy(folder: Path, upstream: int) -> Iterator[Proxy]:
    """A proxy in front of a loopback port, in a server of its own."""
    api, port = (port for port, _ in zip(free_ports(), range(2), strict=False))
    with (folder / "toxiproxy.log").open("wb") as log:
        command = [str(needed(TOXIPROXY)), "-host", "127.0.0.1", "-port", str(api)]
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_for(lambda: port_is_free(api), lambda free: not free)
        named = {"name": str(port), "listen": f"127.0.0.1:{port}", "upstream": f"127.0.0.1:{upstream}"}
        ask(api, "POST", "/proxies", {**named, "enabled": True})
        yield Proxy(api, port)
    finally:
        server.kill()
        server.wait()


def ask(api: int, method: str, path: str, payload: object = None) -> None:
    """Calls the API; anything but success fails."""
    body = None if payload is None else json.dumps(payload).encode()
    answer = call_now(api, method, path, body, {"content-type": "application/json"})
    assert answer.status < 300, f"{method} {path}: {answer.status} {answer.text}"
