"""Several hosts on one machine: network namespaces with an address each, on one switch, any of which can be cut off."""

import ipaddress
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

import pytest

from tests.chaos.processes import Place

# Names of network devices have 15 characters at most.
_TAG_BYTES: Final = 3
_PRIVATE: Final = ipaddress.ip_network("10.128.0.0/9")


@dataclass(frozen=True, slots=True)
class Host:
    """One of them.

    Args:
        name: Of its namespace.
        address: Its IPv4 address.
        port: Its place on the switch.
        switch: The switch.
    """

    name: str
    address: str
    port: str
    switch: str

    @property
    def place(self) -> Place:
        """It, as a place for processes."""
        return Place(self.address, ("ip", "netns", "exec", self.name))

    def cut(self) -> None:
        """Cuts it off: nothing reaches it or leaves it any more, and nobody is told."""
        _ip("link", "set", self.port, "nomaster")

    def mend(self) -> None:
        """Brings it back."""
        _ip("link", "set", self.port, "master", self.switch)


@contextmanager
def hosts(*names: str) -> Iterator[dict[str, Host]]:
    """Makes hosts, by their names; this machine's own processes reach them all, and they reach each other.

    Where namespaces may not be made, the test fails where CI is set, and else is skipped.
    """
    tag = secrets.token_hex(_TAG_BYTES)
    switch = f"sw{tag}"
    subnet = ipaddress.ip_network((int(_PRIVATE[0]) + secrets.randbelow(2**15) * 256, 24))
    with ExitStack() as closing:
        try:
            _ip("link", "add", switch, "type", "bridge")
        except OSError as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"needs network namespaces: {error}")
        closing.callback(_ip, "link", "del", switch)
        _ip("addr", "add", f"{subnet[1]}/24", "dev", switch)
        _ip("link", "set", switch, "up")
        made = {}
        for number, name in enumerate(names):
            host = Host(f"{name}-{tag}", str(subnet[number + 2]), f"p{number}{tag}", switch)
            _ip("netns", "add", host.name)
            closing.callback(_ip, "netns", "del", host.name)
            _plug_in(host)
            made[name] = host
        yield made


def _plug_in(host: Host) -> None:
    _ip("link", "add", host.port, "type", "veth", "peer", "name", "eth0", "netns", host.name)
    host.mend()
    _ip("link", "set", host.port, "up")
    for arguments in (
        ("addr", "add", f"{host.address}/24", "dev", "eth0"),
        *(("link", "set", d, "up") for d in ("eth0", "lo")),
    ):
        _ip("-n", host.name, *arguments)


def _ip(*arguments: str) -> None:
    if shutil.which("ip") is None:
        raise OSError("there is no command `ip`: apt-get install iproute2")
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
