"""Processes that write the journal are killed: what they acknowledged is there, once, in order (R16)."""

import random
import signal
import subprocess
import sys
import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from eventlog.adapters.journal_file import JournalFile
from eventlog.ports import StoredRecord

ROOT = Path(__file__).parents[3]

# Acknowledges on standard output, a name and a number a line, as fast as it can; its log goes elsewhere.
WRITER = """
import asyncio, sys
from pathlib import Path
import structlog
from eventlog.adapters.publisher_journal import JournalPublisher
from eventlog.ports import Durability, Record

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))

async def main(path, name, padding):
    publisher = JournalPublisher(path, max_bytes=80_000_000)
    await publisher.start()

    async def write(lane):
        for number in range(10**9):
            text = f"{name}.{lane} {number}"
            (outcome,) = await publisher.publish_many([Record("t", f"{name}.{lane}", text.encode() + padding)])
            assert outcome is Durability.JOURNAL
            print(text, flush=True)

    await asyncio.gather(*(write(lane) for lane in range(8)))

asyncio.run(main(Path(sys.argv[1]), sys.argv[2], b" " * int(sys.argv[3])))
"""


def start(path: Path, name: str, padding: int = 0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), name, str(padding)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def kill(process: subprocess.Popen[str]) -> list[str]:
    """Kills a writer; returns what it acknowledged, less the lines read before."""
    process.send_signal(signal.SIGKILL)
    assert process.stdout is not None
    told = process.stdout.read().splitlines(keepends=True)
    process.wait()
    process.stdout.close()
    return [line.strip() for line in told if line.endswith("\n")]


def read_all(path: Path) -> list[StoredRecord]:
    with closing(JournalFile(path)) as file:
        return file.read("t", 0, 1_000_000)


def check(found: list[StoredRecord], acknowledged: list[str]) -> None:
    texts = [record.value.decode().strip() for record in found]
    assert len(texts) == len(set(texts))
    assert set(texts) >= set(acknowledged)
    assert all(record.intact for record in found)
    assert all(one.offset + 1 == following.offset for one, following in pairwise(found))
    by_key: dict[str, list[int]] = {}
    for text in texts:
        key, number = text.split()
        by_key.setdefault(key, []).append(int(number))
    assert all(numbers == sorted(numbers) for numbers in by_key.values())


@pytest.mark.parametrize("lines", [1, 50, 400])
def test_what_was_acknowledged_is_there_after_a_kill(tmp_path: Path, lines: int) -> None:
    writer = start(tmp_path / "journal", "w")
    assert writer.stdout is not None
    acknowledged = [writer.stdout.readline().strip() for _ in range(lines)]
    acknowledged += kill(writer)

    check(read_all(tmp_path / "journal"), acknowledged)


def test_writers_killed_in_turn_leave_the_others_whole(tmp_path: Path) -> None:
    """Two at a time, at random moments, with records of several pages, so that kills hit the middle of writes."""
    seed = 17
    chance = random.Random(seed)
    path = tmp_path / "journal"
    acknowledged: list[str] = []
    running = [start(path, f"w{number}", 30_000) for number in range(2)]
    for number in range(2, 7):
        writer = running.pop(0)
        assert writer.stdout is not None
        acknowledged += [writer.stdout.readline().strip() for _ in range(chance.randint(1, 40))]
        time.sleep(chance.random() * 0.05)  # the moment of the kill
        acknowledged += kill(writer)
        running.append(start(path, f"w{number}", 30_000))
    for writer in running:
        assert writer.stdout is not None
        acknowledged.append(writer.stdout.readline().strip())
        acknowledged += kill(writer)

    check(read_all(path), acknowledged)
