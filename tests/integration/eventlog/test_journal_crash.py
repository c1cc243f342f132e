"""A process that writes the journal is killed: what it acknowledged is there."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from eventlog.adapters.journal_sqlite import JournalFile

ROOT = Path(__file__).parents[3]

# Acknowledges on standard output, a number a line, as fast as it can.
WRITER = """
import asyncio, sys
from pathlib import Path
from eventlog.adapters.publisher_journal import JournalPublisher
from eventlog.ports import Durability, Record

async def main():
    publisher = JournalPublisher(Path(sys.argv[1]))
    await publisher.start()

    async def write(first):
        for number in range(first, 10**9, 8):
            (outcome,) = await publisher.publish_many([Record("t", "k", str(number).encode())])
            assert outcome is Durability.JOURNAL
            print(number, flush=True)

    await asyncio.gather(*(write(first) for first in range(8)))

asyncio.run(main())
"""


@pytest.mark.parametrize("lines", [1, 50, 400])
def test_what_was_acknowledged_is_there_after_a_kill(tmp_path: Path, lines: int) -> None:
    path = tmp_path / "journal.db"
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    acknowledged = [process.stdout.readline() for _ in range(lines)]
    process.send_signal(signal.SIGKILL)
    acknowledged += process.stdout.read().splitlines(keepends=True)
    process.wait()
    process.stdout.close()

    file = JournalFile(path)
    stored = [int(record.value) for record in file.read("t", 0, 1_000_000)]
    file.close()
    assert len(stored) == len(set(stored))
    assert set(stored) >= {int(line) for line in acknowledged if line.endswith("\n")}
