"""A Datadog agent that only listens."""

import socket


class Agent:
    """Keeps every line that it is sent.

    Args:
        family: Of its socket.
        address: Where it listens.
    """

    def __init__(self, family: socket.AddressFamily, address: tuple[str, int] | str) -> None:
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.setblocking(False)
        self._lines: list[str] = []

    @property
    def address(self) -> str:
        name = self._socket.getsockname()
        return name if isinstance(name, str) else f"{name[0]}:{name[1]}"

    def lines(self) -> list[str]:
        while True:
            try:
                self._lines += self._socket.recv(65_536).decode().splitlines()
            except BlockingIOError:
                return self._lines

    async def counted(self, name: str) -> float:
        """What a counter came to; increments of a short while come summed up."""
        return sum(float(line.split(":")[1].split("|")[0]) for line in self.lines() if line.startswith(f"{name}:"))

    async def events(self) -> int:
        return sum(line.startswith("_e{") for line in self.lines())

    def close(self) -> None:
        self._socket.close()


def tags(line: str) -> set[str]:
    return set(next(part for part in line.split("|") if part.startswith("#"))[1:].split(","))
