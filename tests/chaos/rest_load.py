"""Pages over REST, one after the other, each over a connection of its own, as long as something else happens."""

import math
import time

from tests.chaos.beside import Beside
from tests.http import call_now

_EVERY_S = 0.05


class RestLoad(Beside):
    """Asks from `with` to its end.

    Args:
        port: Of the bridge.
        user_id: Who asks.
    """

    def __init__(self, port: int, user_id: str = "u1") -> None:
        super().__init__()
        self._path = f"/feed/recommendations?userId={user_id}"
        self._port = port
        self._latencies_ms: list[float] = []
        self.failed = 0

    def __len__(self) -> int:
        """How many pages were asked for."""
        return len(self._latencies_ms)

    @property
    def p99_ms(self) -> float:
        """99th percentile of the latency."""
        ordered = sorted(self._latencies_ms)
        return ordered[math.ceil(len(ordered) * 0.99) - 1]

    def run(self) -> None:
        """Asks."""
        while not self.ended.wait(_EVERY_S):
            start = time.monotonic()
            try:
                status = call_now(self._port, "GET", self._path).status
            except OSError:
                status = 0
            self.failed += status not in {200, 429}  # 429: a machine without room
            self._latencies_ms.append((time.monotonic() - start) * 1000)
