"""How many connections there may be, in all and from each peer."""

from collections import Counter


class Connections:
    """Counts those that are open.

    Args:
        most: So many in all.
        most_of_peer: So many from one address.
    """

    def __init__(self, most: int = 4_000, most_of_peer: int = 1_000) -> None:
        self.most = most
        self._most_of_peer = most_of_peer
        self._open = 0
        self._by_peer: Counter[str] = Counter()

    def enter(self, address: str) -> str:
        """Counts a new connection; returns which limit it is beyond, and then it does not count; empty: none."""
        if self._open >= self.most:
            return "connections"
        if self._by_peer[address] >= self._most_of_peer:
            return "peer_connections"
        self._open += 1
        self._by_peer[address] += 1
        return ""

    def leave(self, address: str) -> None:
        """Forgets one that has ended."""
        self._open -= 1
        self._by_peer[address] -= 1
        if not self._by_peer[address]:
            del self._by_peer[address]
