"""A process that publishes into the journal at a steady pace, whatever comes back, and tells each outcome in a line.

    python -m tests.chaos.journal_load FOLDER EVENTS_A_SECOND

A line is the number of the event, the milliseconds that its answer took, and `ok`, `full` or another error's name.
"""

import asyncio
import sys
import time
from pathlib import Path

from eventlog.adapters.publisher_journal import JournalPublisher
from eventlog.ports import Durability, LogFullError, Record

TOPIC = "t"
TICK_S = 0.01


def _name(outcome: object) -> str:
    if isinstance(outcome, Durability):
        return "ok"
    return "full" if isinstance(outcome, LogFullError) else type(outcome).__name__


async def _publish(publisher: JournalPublisher, number: int) -> None:
    start = time.perf_counter()
    (outcome,) = await publisher.publish_many([Record(TOPIC, f"u{number % 100}", f"{number}".encode() + b" " * 300)])
    sys.stdout.write(f"{number} {(time.perf_counter() - start) * 1000:.2f} {_name(outcome)}\n")


async def main(folder: Path, events_a_second: int) -> None:
    """Publishes until killed."""
    publisher = JournalPublisher(folder)
    await publisher.start()
    running: set[asyncio.Task[None]] = set()
    start, number = time.monotonic(), 0
    while True:
        due = int((time.monotonic() - start) * events_a_second)
        for each in range(number, due):
            task = asyncio.create_task(_publish(publisher, each))
            running.add(task)
            task.add_done_callback(running.discard)
        number = due
        sys.stdout.flush()
        await asyncio.sleep(TICK_S)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
