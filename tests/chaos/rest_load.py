"""Pages over REST, one after the other, each over a connection of its own, as long as something else happens."""

import math
import threading
import time
from typing import Self

from tests.http import call_now

_EVERY_S = 0.05


class RestLoad:
    """Asks from `with` to its end.

    Args:
        port: Of the bridge.
        user_id: Who asks.
    """

    def __init__(self, port: int, user_id: str = "u1") -> None:
        self._path = f"/feed/recommendations?userId={user_id}"
        self._port = port
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="rest-load")
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

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._ended.wait(_EVERY_S):
            start = time.monotonic()
            try:
                status = call_now(self._port, "GET", self._path).status
            except OSError:
                status = 0
            self.failed += status not in {200, 429}  # 429: a machine without room
            self._latencies_ms.append((time.monotonic() - start) * 1000)
