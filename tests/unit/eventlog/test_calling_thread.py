"""Calls of a library that blocks: in order, and never in the way of the process's end."""

import asyncio
import functools
import subprocess
import sys
import threading

import pytest

from eventlog.adapters.calling_thread import CallingThread

HANGS = """
import asyncio, threading
from eventlog.adapters.calling_thread import CallingThread

async def main():
    thread = CallingThread("hangs")
    try:
        await asyncio.wait_for(thread.run(threading.Event().wait), 0.1)
    except TimeoutError:
        print("late")
    thread.stop()

asyncio.run(main())
"""


async def test_calls_are_made_in_order_and_answered() -> None:
    thread, made = CallingThread("calls"), list[int]()

    def call(number: int) -> int:
        made.append(number)
        return -number

    answers = await asyncio.gather(*(thread.run(functools.partial(call, number)) for number in range(5)))
    assert (made, answers) == ([0, 1, 2, 3, 4], [0, -1, -2, -3, -4])
    thread.stop()


async def test_an_error_is_the_callers_and_the_next_call_is_made() -> None:
    thread = CallingThread("calls")
    with pytest.raises(ZeroDivisionError):
        await thread.run(lambda: 1 / 0)
    assert await thread.run(lambda: 7) == 7
    thread.stop()


async def test_a_call_that_nobody_waits_for_any_more_is_not_made() -> None:
    thread, free, made = CallingThread("calls"), threading.Event(), list[str]()
    first = asyncio.create_task(thread.run(free.wait))
    second = asyncio.create_task(thread.run(lambda: made.append("second")))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    free.set()
    await first
    await thread.run(lambda: made.append("third"))
    assert made == ["third"]
    thread.stop()


def test_a_call_that_hangs_does_not_keep_the_process() -> None:
    ended = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=30, check=True)
    assert ended.stdout == "late\n"
