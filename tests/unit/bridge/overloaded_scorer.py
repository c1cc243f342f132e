"""A scorer in virtual time: it ranks what waits together, and gets slower the more waits."""

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from bridge.domain.limiter import AdaptiveLimit
from bridge.domain.outcome import Verdict

TIMEOUT_S: Final = 0.060
MOST_TOGETHER: Final = 64
# How soon a caller comes again: after a page, and after one that was shed.
AGAIN_S: Final = 0.0005


@dataclass(frozen=True)
class BatchingServer:
    """One batch at a time takes `base_s` and `each_s` for each request in it; who has timed out is left out."""

    base_s: float
    each_s: float
    healthy: Callable[[float], bool] = lambda _now: True

    @property
    def capacity(self) -> float:
        """Answers a second when every batch is full."""
        return MOST_TOGETHER / (self.base_s + MOST_TOGETHER * self.each_s)


@dataclass
class Second:
    """What happened in one second."""

    answered: int = 0
    shed: int = 0
    timed_out: int = 0
    limit: int = 0


@dataclass
class Request:
    start: float
    over: bool = False


@dataclass
class Simulation:
    limit: AdaptiveLimit
    server: BatchingServer
    closed: bool
    seconds: list[Second]
    now: float = 0.0
    chance: random.Random = field(default_factory=lambda: random.Random(8))
    waiting: list[Request] = field(default_factory=list)
    busy: bool = False
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self.events, (self.now + seconds, next(self.numbers), act))

    def run(self) -> None:
        while self.events:
            self.now, _, act = heapq.heappop(self.events)
            if self.now >= len(self.seconds):
                return
            act()

    @property
    def second(self) -> Second:
        return self.seconds[int(self.now)]

    def arrive(self) -> None:
        self.second.limit = self.limit.limit
        if not self.limit.acquire():
            self.second.shed += 1
            self.come_again()
            return
        request = Request(self.now)
        self.waiting.append(request)
        self.after(TIMEOUT_S, lambda: self.end(request, Verdict.FAILURE))
        self.serve()

    def serve(self) -> None:
        if self.busy or not self.server.healthy(self.now):
            return
        self.waiting = [request for request in self.waiting if not request.over]
        batch, self.waiting = self.waiting[:MOST_TOGETHER], self.waiting[MOST_TOGETHER:]
        if batch:
            self.busy = True
            took_s = self.server.base_s + len(batch) * self.server.each_s * self.chance.uniform(0.8, 1.2)
            self.after(took_s, lambda: self.answer(batch))

    def answer(self, batch: list[Request]) -> None:
        self.busy = False
        for request in batch:
            self.end(request, Verdict.SUCCESS)
        self.serve()

    def end(self, request: Request, verdict: Verdict) -> None:
        if request.over:
            return
        request.over = True
        self.limit.release(request.start, self.now, verdict)
        self.second.answered += verdict is Verdict.SUCCESS
        self.second.timed_out += verdict is Verdict.FAILURE
        self.come_again()

    def come_again(self) -> None:
        if self.closed:
            self.after(AGAIN_S, self.arrive)


def simulate(
    limit: AdaptiveLimit, server: BatchingServer, load: int | Callable[[float], float], seconds: int
) -> list[Second]:
    """Runs it; the load is a number of callers, each coming again when answered, or arrivals a second by the time."""
    run = Simulation(limit, server, isinstance(load, int), [Second() for _ in range(seconds)])
    if isinstance(load, int):
        for caller in range(load):
            run.after(0.0001 * caller, run.arrive)
    else:
        rate = load

        def stream() -> None:
            run.arrive()
            run.after(run.chance.expovariate(rate(run.now)), stream)

        run.after(0.0, stream)
    run.run()
    return run.seconds
