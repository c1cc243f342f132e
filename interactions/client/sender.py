"""The thread that sends what waits, and what it shares with those who track."""

import atexit
import logging
import math
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from interactions.client.event import Event, Rejection, rejection
from interactions.client.outbox import Outbox
from interactions.client.pace import Pace
from interactions.client.settings import TrackerSettings
from interactions.client.spool import Spool, SpoolError
from interactions.client.stats import Stats
from interactions.client.transport import Answer, Answered, Failed, Transport, Unreadable

_LOG: Final = logging.getLogger("interactions.client")

# Longest that a fork is held up; most calls take some milliseconds.
_PAUSE_S: Final = 0.5
_NO_ANSWER: Final = "no answer before the tracker was closed; the event may or may not have been recorded"


class Sender:
    """Sends events in their order, one batch at a time, until each has its answer. Safe for threads.

    Args:
        transport: Makes the calls.
        settings: When, and how much.
        spool: Keeps what waits; None: memory only.
        tell: Takes the events that will not be sent any more.
    """

    def __init__(
        self,
        transport: Transport,
        settings: TrackerSettings,
        spool: Spool | None,
        tell: Callable[[Sequence[Rejection]], None],
    ) -> None:
        self._transport = transport
        self._settings = settings
        self._spool = spool
        self._tell = tell
        self._changed = threading.Condition()
        self._outbox = Outbox(settings)
        self._pace = Pace(settings.first_backoff_s, settings.longest_backoff_s)
        self._counts: Counter[str] = Counter()
        self._last_error = ""
        self._thread: threading.Thread | None = None
        self._finalizer: Any = None
        self._sleeps_until_s = -math.inf
        self._takes = True
        self._paused = False
        self._runs = True

    def open(self) -> None:
        """Takes over what earlier processes left in the spool; raises SpoolError when it cannot be opened."""
        with self._changed:
            if self._spool:
                self._restore(self._spool.open())

    def put(self, event: Event) -> str | None:
        """Takes an event; returns why not when it does not."""
        with self._changed:
            refusal = self._refusal(event)
            if refusal:
                self._counts["refused"] += 1
                return refusal
            self._counts["tracked"] += 1
            if self._spool:
                self._keep(event, self._spool)
            if self._thread is None:
                self._start()
            elif self._next_call_at_s() < self._sleeps_until_s:
                self._changed.notify_all()
        return None

    def flush(self, timeout_s: float | None) -> bool:
        """Sends without waiting for company; says whether all that was put before has its answer."""
        if threading.current_thread() is self._thread:
            return False  # called by `on_rejected`: this is the thread that would send
        with self._changed:
            through = self._outbox.hurry()
            self._pace.hurry()
            if len(self._outbox) and not self._start():
                return False
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._outbox.oldest_number() > through, timeout_s)

    def close(self, timeout_s: float | None = None) -> bool:
        """Flushes, within the timeout or that of the settings, and ends; says whether all has its answer."""
        with self._changed:
            self._takes = False
        delivered = self.flush(self._settings.exit_timeout_s if timeout_s is None else timeout_s)
        with self._changed:
            self._runs = False
            left = self._outbox.clear()
            if self._spool:
                self._spool.close()
            self._changed.notify_all()
        self._forget_exit()
        self._transport.close()
        if left:
            _LOG.warning("%d events had no answer when the tracker was closed", len(left))
        if not self._spool:
            self._tell([rejection(event, "", _NO_ANSWER) for event in left])
        return delivered

    def pause(self) -> None:
        """Waits, within a bound, until no call is under way, and lets none begin before `resume` by the same thread."""
        self._changed.acquire()
        self._paused = True
        self._changed.wait_for(lambda: not self._outbox.is_under_way, _PAUSE_S)

    def resume(self) -> None:
        """Goes on after `pause`."""
        self._paused = False
        self._changed.notify_all()
        self._changed.release()

    def leave_to_parent(self) -> None:
        """Leaves connection and spool to the process that this one was forked from; nothing here is used again."""
        atexit.unregister(self.close)
        self._transport.after_fork()
        if self._spool:
            self._spool.close()

    def count_unsendable(self) -> None:
        """Counts an event that could not even be put."""
        with self._changed:
            self._counts["rejected"] += 1

    def stats(self) -> Stats:
        """Returns the counts."""
        with self._changed:
            errors = self._spool.errors if self._spool else 0
            return Stats(**self._counts, waiting=len(self._outbox), spool_errors=errors, last_error=self._last_error)

    def _refusal(self, event: Event) -> str | None:
        if not self._takes:
            return "the tracker is closed"
        if not self._outbox.add(event, time.monotonic()):
            return f"{len(self._outbox)} events wait for their answer already; the older ones are kept"
        return None

    def _keep(self, event: Event, spool: Spool) -> None:
        if not spool.is_open:  # in a forked process, which takes a file of its own with its first event
            try:
                self._restore(spool.open())
            except SpoolError as error:
                self._last_error = str(error)
        spool.add(event)

    def _restore(self, left: Sequence[Event]) -> None:
        if left:
            self._outbox.restore(left, time.monotonic())
            self._counts["tracked"] += len(left)
            self._start()

    def _start(self) -> bool:
        """Starts the thread unless it runs; says whether it does."""
        if self._thread is not None:
            return True
        thread = threading.Thread(target=self._run, name="feed-tracker", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the process ends, or has no thread left: the next event tries again
            self._last_error = str(error)
            return False
        self._thread = thread
        atexit.register(self.close)
        if "multiprocessing.util" in sys.modules:  # whose processes end without atexit
            self._finalizer = sys.modules["multiprocessing.util"].Finalize(None, self.close, exitpriority=0)
        return True

    def _forget_exit(self) -> None:
        atexit.unregister(self.close)
        if self._finalizer is not None:
            self._finalizer.cancel()

    def _run(self) -> None:
        while batch := self._next_batch():
            try:
                answer = self._transport.send(batch, self._settings.call_timeout_s)
            except Exception as error:  # noqa: BLE001  # a Transport of the caller's; this thread must go on
                answer = Failed(repr(error))
            with self._changed:
                rejected = self._settle(batch, answer) if self._runs else []
                self._changed.notify_all()
            self._tell(rejected)

    def _next_batch(self) -> list[Event]:
        """Waits until a call is due; returns nothing at the end."""
        with self._changed:
            while self._runs:
                due_in_s = self._next_call_at_s() - time.monotonic()
                if due_in_s <= 0:
                    return self._outbox.take()
                self._sleeps_until_s = self._next_call_at_s()
                self._changed.wait(None if math.isinf(due_in_s) else due_in_s)
                self._sleeps_until_s = -math.inf
        return []

    def _next_call_at_s(self) -> float:
        if self._paused:
            return math.inf
        return max(self._outbox.due_at_s(), self._pace.opens_at_s)

    def _settle(self, batch: Sequence[Event], answer: Answer) -> list[Rejection]:
        self._counts["calls"] += 1
        if isinstance(answer, Answered):
            return self._settled(batch, answer)
        if isinstance(answer, Unreadable) and len(batch) == 1:
            return self._settled(batch, Answered([answer.alone()]))
        self._counts["failed_calls"] += 1
        self._last_error = answer.reason
        if isinstance(answer, Unreadable):
            self._outbox.put_back(halved=True)
            return []
        self._outbox.put_back()
        self._pace.failed(time.monotonic(), random.random(), answer.retry_after_s)  # noqa: S311  # no secret
        if self._pace.failures == 1:
            _LOG.warning("events wait: %s", answer.reason)
        return []

    def _settled(self, batch: Sequence[Event], answer: Answered) -> list[Rejection]:
        pairs = zip(batch, answer.results, strict=True)
        rejected = [rejection(event, result.field, result.reason) for event, result in pairs if not result.accepted]
        self._counts["rejected"] += len(rejected)
        self._counts["delivered"] += len(batch) - len(rejected)
        self._last_error = ""
        if self._pace.failures:
            _LOG.info("events are delivered again")
        self._pace.succeeded()
        self._outbox.settled()
        if self._spool:
            self._spool.settled(batch)
        return rejected
