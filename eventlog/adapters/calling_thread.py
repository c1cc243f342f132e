"""One thread for a library that blocks."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")


class CallingThread:
    """Makes calls one after the other. Unlike a pool's, it does not keep a process alive whose last call hangs.

    Args:
        name: Of the thread, for whoever looks at the process.
    """

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    async def run(self, call: Callable[[], ResultT]) -> ResultT:
        """Makes a call after those before it; one whose caller gives up before its turn is not made."""
        future: Future[ResultT] = Future()
        self._calls.put((future, call))
        return await asyncio.wrap_future(future)

    def stop(self) -> None:
        """Ends the thread after the calls that wait."""
        self._calls.put(None)

    def _work(self) -> None:
        while (waiting := self._calls.get()) is not None:
            future, call = waiting
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except BaseException as error:  # noqa: BLE001  # it is the caller's
                future.set_exception(error)
