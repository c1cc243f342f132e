"""Lets concurrent requests share calls to a scorer.

A call costs both sides some 400 us whatever it carries; a ranking costs the scorer a fraction of that. So what arrives
while a call is under way waits for its end, and goes together; but nobody waits longer than `hold_s`: a hung call must
not take others with it. While calls carry several requests anyway, those that find none under way wait `gather_s` for
the next.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from bridge.domain.outcome import Outcome
from bridge.domain.retry import Failure
from bridge.ports import Answer, RankCalls, ScorerError
from bridge.telemetry import BatchSent, Observer
from feed.scoring.v1 import scoring_pb2
from runtime.request_context import request_id

_LOG = structlog.get_logger(__name__)

# Half of what a server takes in one message; most requests are some 100 bytes, one with a long history 100,000.
_MOST_BYTES: Final = 524_288

_TIMED_OUT: Final = Failure(Outcome.TIMEOUT)


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """How requests are collected.

    Args:
        users: Most requests of one call; at most 256, the contract's limit.
        hold_s: Longest time that a request waits for the call under way to end, in seconds.
        gather_s: How long a request waits for others when no call is under way, but the last one carried several, in
            seconds.
    """

    users: int = 64
    hold_s: float = 0.005
    gather_s: float = 0.001


class _Waiter:
    """One request for a ranking."""

    __slots__ = ("arrival", "call", "future", "request", "until")

    def __init__(
        self, request: scoring_pb2.RankRequest, arrival: float, until: float, future: "asyncio.Future[Answer]"
    ) -> None:
        self.request = request
        self.arrival = arrival
        self.until = until
        self.future = future
        self.call: _Call | None = None

    def expire(self) -> None:
        """Ends the wait: its time is over, whatever becomes of the call."""
        if not self.future.done():
            self.future.set_exception(ScorerError(_TIMED_OUT, shared=self.call is not None and self.call.told()))


class _Call:
    """One call and who waits for it."""

    __slots__ = ("_told", "task", "waiters", "waiting")

    def __init__(self, waiters: Sequence[_Waiter]) -> None:
        self.waiters = waiters
        self.waiting = len(waiters)
        self.task: asyncio.Task[None] | None = None
        self._told = False

    def told(self) -> bool:
        """Says whether somebody was told before how this call went; from now on somebody was."""
        told, self._told = self._told, True
        return told

    def answer(self, responses: Sequence[scoring_pb2.RankResponse]) -> None:
        """Gives each its own answer."""
        for waiter, response in zip(self.waiters, responses, strict=True):
            if waiter.future.done():
                continue
            if response.dropped:
                waiter.expire()
            else:
                waiter.future.set_result(Answer(response, shared=self.told()))

    def fail(self, failure: Failure) -> None:
        """Tells everybody that there is no answer."""
        for waiter in self.waiters:
            if not waiter.future.done():
                waiter.future.set_exception(ScorerError(failure, shared=self.told()))


class BatchingScorer:
    """The port `Scorer` on `RankCalls`. It belongs to one event loop.

    Args:
        calls: The connection to the server.
        policy: How requests are collected.
        observer: Who is told of calls.
    """

    def __init__(self, calls: RankCalls, policy: BatchPolicy, observer: Observer) -> None:
        self._calls = calls
        self._policy = policy
        self._observer = observer
        self._queue: list[_Waiter] = []
        self._under_way: set[_Call] = set()
        self._flush: asyncio.Handle | None = None
        self._last_users = 1

    @property
    def target(self) -> str:
        """`host:port` of the server."""
        return self._calls.target

    async def rank(self, request: scoring_pb2.RankRequest, timeout_s: float) -> Answer:
        """Asks for a ranking, alone or together with others; each keeps its own time.

        Raises:
            ScorerError: When there is none.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        request.request_id = request_id()
        waiter = _Waiter(request, now, now + timeout_s, loop.create_future())
        timer = loop.call_at(waiter.until, waiter.expire)
        self._queue.append(waiter)
        self._arrange(loop)
        try:
            return await waiter.future
        finally:
            timer.cancel()
            self._left(waiter)

    def _arrange(self, loop: asyncio.AbstractEventLoop) -> None:
        """Sees to it that what waits is sent: when the call under way ends, or when it was held for long."""
        if len(self._queue) >= self._policy.users:
            self._send(loop)
        elif self._flush is None:
            hold_s = self._hold_s()
            # Even with nothing to wait for, what came in with this turn of the loop goes together.
            self._flush = loop.call_later(hold_s, self._send, loop) if hold_s else loop.call_soon(self._send, loop)

    def _hold_s(self) -> float:
        if self._under_way:
            return self._policy.hold_s
        return self._policy.gather_s if self._last_users > 1 else 0.0

    def _send(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        waiters = [waiter for waiter in self._queue if not waiter.future.done()]
        self._queue.clear()
        most = self._policy.users if self._calls.batches else 1
        for together in _calls_of(waiters, most):
            self._start(loop, _Call(together))

    def _start(self, loop: asyncio.AbstractEventLoop, call: _Call) -> None:
        now = loop.time()
        for waiter in call.waiters:
            waiter.call = call
            waiter.request.timeout_ms = max(1, int((waiter.until - now) * 1000))
        timeout_s = max(waiter.until for waiter in call.waiters) - now
        self._under_way.add(call)
        self._last_users = len(call.waiters)
        call.task = loop.create_task(self._run(call, timeout_s))
        self._observer.batch_sent(BatchSent(self.target, len(call.waiters), now - call.waiters[0].arrival))

    async def _run(self, call: _Call, timeout_s: float) -> None:
        try:
            responses = await self._calls.rank([waiter.request for waiter in call.waiters], timeout_s)
        except ScorerError as error:
            self._ended(call)
            call.fail(error.failure)
        except Exception:  # noqa: BLE001  # a bug here must cost the personal pages, not the pages
            _LOG.exception("bridge.call_failed", target=self.target)
            self._ended(call)
            call.fail(Failure(Outcome.INTERNAL))
        else:
            self._ended(call)
            call.answer(responses)
        finally:
            self._under_way.discard(call)

    def _ended(self, call: _Call) -> None:
        """Sends what waited before anybody is answered, so that the scorer works while the answers are made."""
        self._under_way.discard(call)
        if self._queue:
            self._send(asyncio.get_running_loop())

    def _left(self, waiter: _Waiter) -> None:
        """Notes that a request waits no longer; a call for which nobody waits is given up."""
        call = waiter.call
        if call is None:
            return
        call.waiting -= 1
        if not call.waiting and call.task is not None and not call.task.done():
            call.task.cancel()


def _calls_of(waiters: Sequence[_Waiter], most: int) -> Iterator[list[_Waiter]]:
    """Parts requests so that each call has few enough of them and few enough bytes."""
    together: list[_Waiter] = []
    size = 0
    for waiter in waiters:
        more = waiter.request.ByteSize()
        if together and (len(together) >= most or size + more > _MOST_BYTES):
            yield together
            together, size = [], 0
        together.append(waiter)
        size += more
    if together:
        yield together
