"""What reached the scripted scorer: counts, and the last users that it was asked about."""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

# Bounds on memory: some seconds of calls, and some minutes of requests, at 300 a second.
KEPT_ASKED: Final = 10_000
KEPT_REQUESTS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Asked:
    """One user of one call: an attempt of the bridge.

    Args:
        act: What is done with the call.
        request_id: The feed request behind it, or empty.
        contract: The caller's contract release, or empty.
        time_remaining_ms: What its caller has left as it arrives; None: as long as it takes.
    """

    act: str
    request_id: str
    contract: str
    time_remaining_ms: float | None


class Ledger(Collector):
    """Counts calls; a registry that it is put into shows the counts as metrics."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.reset()

    def reset(self) -> None:
        """Forgets what was; calls under way stay under way."""
        self.calls = 0
        self.ranked = 0
        self.abandoned = 0
        self.most_in_flight = self.in_flight
        self._by_act: Counter[str] = Counter()
        self._last: deque[Asked] = deque(maxlen=KEPT_ASKED)
        self._attempts: dict[str, int] = {}

    @contextmanager
    def call(self, users: Sequence[Asked]) -> Iterator[None]:
        """Counts a call, with its users, for as long as it is under way."""
        self.calls += 1
        for user in users:
            self._note(user)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            yield
        except BaseException as error:
            self.abandoned += not isinstance(error, Exception)  # cancelled: nobody waits any more
            raise
        finally:
            self.in_flight -= 1

    def last(self, count: int = KEPT_ASKED) -> list[Asked]:
        """Returns who was asked about last, the newest at the end."""
        return list(islice(self._last, max(0, len(self._last) - count), None))

    def as_json(self, count: int) -> dict[str, Any]:
        """Returns everything, with the last `count` users."""
        return {
            "calls": self.calls,
            "ranked": self.ranked,
            "rankedByAct": dict(self._by_act),
            "inFlight": self.in_flight,
            "mostInFlight": self.most_in_flight,
            "abandoned": self.abandoned,
            "requestsByAttempts": {str(attempts): times for attempts, times in self._repeats()},
            "last": [
                {
                    "act": each.act,
                    "requestId": each.request_id,
                    "attempts": self._attempts.get(each.request_id, 0),
                    "contractVersion": each.contract,
                    "timeRemainingMs": each.time_remaining_ms,
                }
                for each in self.last(count)
            ],
        }

    def collect(self) -> Iterator[Metric]:
        """Shows the counts to Prometheus."""
        ranked = CounterMetricFamily("feed_fake_scorer_ranked", "Users asked for, by what was done.", labels=("act",))
        for act, count in self._by_act.items():
            ranked.add_metric((act,), count)
        yield ranked
        yield GaugeMetricFamily("feed_fake_scorer_in_flight", "Calls under way.", self.in_flight)

    def _note(self, user: Asked) -> None:
        self.ranked += 1
        self._by_act[user.act] += 1
        self._last.append(user)
        if user.request_id:
            self._attempts[user.request_id] = self._attempts.get(user.request_id, 0) + 1
            if len(self._attempts) > KEPT_REQUESTS:
                del self._attempts[next(iter(self._attempts))]

    def _repeats(self) -> list[tuple[int, int]]:
        return sorted(Counter(self._attempts.values()).items())
