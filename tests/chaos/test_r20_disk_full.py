"""R20, the journal's side: the disk under it is full; events are refused before they are acknowledged, at once."""

import contextlib
import resource
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from eventlog.adapters.journal_file import JournalFile
from tests.chaos.conftest import Reporter
from tests.chaos.ingest_rig import IngestRig
from tests.chaos.journal_load import TOPIC
from tests.polling import wait_for

TARGET = "0 lost; refused before the acknowledgement, < 50 ms; accepts again <= 5 s after space returns"
ROOT = Path(__file__).parents[2]
EVENTS_A_SECOND = 1_000


@dataclass
class Told:
    """One outcome: which event, how long its answer took, what it was, and when it came."""

    number: int
    taken_ms: float
    outcome: str
    time: float


@dataclass
class Load:
    """A process that publishes at a steady pace, and what it was told."""

    process: subprocess.Popen[str]
    told: list[Told] = field(default_factory=list)

    def read(self) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(ValueError):  # the last line may be cut by the kill
            for line in self.process.stdout:
                number, taken_ms, outcome = line.split()
                self.told.append(Told(int(number), float(taken_ms), outcome, time.monotonic()))

    def count(self, outcome: str, since: float) -> int:
        return sum(each.outcome == outcome and each.time >= since for each in list(self.told))

    def numbers(self, outcome: str) -> set[int]:
        return {each.number for each in self.told if each.outcome == outcome}


@contextmanager
def load(folder: Path) -> Iterator[Load]:
    """Publishes until the end of the block; then the process is killed, as if the disk had taken it along."""
    command = [sys.executable, "-m", "tests.chaos.journal_load", str(folder), str(EVENTS_A_SECOND)]
    running = Load(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True))
    reading = threading.Thread(target=running.read)
    reading.start()
    try:
        yield running
    finally:
        running.process.kill()
        reading.join()
        running.process.wait()
        assert running.process.stdout is not None
        running.process.stdout.close()


class FileSizeLimit:
    """No file of the process may grow any more: EFBIG."""

    def __init__(self, folder: Path, pid: int) -> None:
        self._folder, self._pid = folder, pid

    def fill(self) -> None:
        newest = max(self._folder.glob("*/*.log"))
        _, hard = resource.prlimit(self._pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (newest.stat().st_size + 1_000, hard))

    def free(self) -> None:
        _, hard = resource.prlimit(self._pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (hard, hard))


class FullFileSystem:
    """Something else takes what was left of the file system: ENOSPC."""

    def __init__(self, folder: Path, _pid: int) -> None:
        self._filler = folder.parent / "filler"

    def fill(self) -> None:
        with self._filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1_000))

    def free(self) -> None:
        self._filler.unlink()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MB."""
    where = tmp_path / "disk"
    where.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(where)]
    try:
        subprocess.run(mount, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    yield where
    subprocess.run(["umount", str(where)], check=True)


Space = FileSizeLimit | FullFileSystem


@pytest.fixture(params=[FileSizeLimit, FullFileSystem])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Callable[[Path, int], Space]]:
    """Where the journal is to lie, and what fills that."""
    folder = request.getfixturevalue("small_disk") if request.param is FullFileSystem else tmp_path
    return folder / "journal", request.param


def p99(ordered: list[float]) -> float:
    """Returns what 99 % are not above: the slowest of thousands tells of the machine."""
    return ordered[len(ordered) * 99 // 100]


def fill_and_free(running: Load, space: Space, full_s: float) -> float:
    """Fills the disk for a time; returns how many seconds after that the first event was acknowledged."""
    begin = time.monotonic()
    wait_for(lambda: running.count("ok", begin), lambda count: count > 300)
    space.fill()
    wait_for(lambda: running.count("full", begin), bool)
    time.sleep(full_s)  # as long as the disk is full
    space.free()
    freed = time.monotonic()
    wait_for(lambda: running.count("ok", freed), bool)
    return next(each.time for each in running.told if each.outcome == "ok" and each.time >= freed) - freed


def test_a_full_disk_refuses_at_once_and_loses_nothing(
    disk: tuple[Path, Callable[[Path, int], Space]], long: bool, report: Reporter
) -> None:
    folder, kind = disk
    with load(folder) as running:
        space = kind(folder, running.process.pid)
        back_s = [fill_and_free(running, space, 10 if long else 1.5) for _ in range(3 if long else 1)]
    with closing(JournalFile(folder)) as file:
        stored = file.read(TOPIC, 0, 1_000_000)
    kept = {int(record.value) for record in stored if record.intact}
    acknowledged, refused = running.numbers("ok"), running.numbers("full")
    refused_ms = sorted(each.taken_ms for each in running.told if each.outcome == "full")
    others = {each.outcome for each in running.told} - {"ok", "full"}
    report(
        "R20",
        f"disk full under the journal ({kind.__name__}), {EVENTS_A_SECOND} events/s",
        target=TARGET,
        met=acknowledged <= kept and p99(refused_ms) < 50 and max(back_s) <= 5,
        acknowledged=len(acknowledged),
        lost=len(acknowledged - kept),
        refused=len(refused),
        refused_and_kept=len(kept & refused),
        refusal_p99_ms=p99(refused_ms),
        refusal_max_ms=refused_ms[-1],
        accepts_again_s=max(back_s),
    )
    assert acknowledged <= kept
    assert others == set()
    assert all(record.intact for record in stored)


@pytest.mark.kafka
@pytest.mark.postgres
def test_the_front_door_refuses_while_kafka_hangs_and_the_disk_is_full(
    ingest: IngestRig, long: bool, report: Reporter
) -> None:
    """Nothing takes events then: callers are told so at once, and keep theirs."""
    interactions = ingest.interactions()
    ingest.sink()
    with ingest.under_load(interactions) as run:
        run.until_acknowledged(ingest.freeze_broker(), lambda each: each.durability == "JOURNAL")
        space = FileSizeLimit(ingest.journal, interactions.pid)
        space.fill()
        filled = run.pause(0.5)
        run.pause(10 if long else 2)
        freed = run.pause(0)
        space.free()
        back_s = run.until_acknowledged(freed) - freed
        run.until_in_kafka(ingest.thaw_broker())
    while_full = [each for each in run.attempts.between(filled) if each.end_s < freed]
    refused_ms = sorted(each.latency_ms for each in while_full if each.code == "RESOURCE_EXHAUSTED")
    assert refused_ms, Counter(each.code for each in while_full)
    report(
        "R20",
        "disk full under the journal while Kafka hangs, seen by callers",
        target=TARGET,
        met=run.right and p99(refused_ms) < 50 and back_s <= 5,
        **run.figures(),
        refused_calls=len(refused_ms),
        refusal_p99_ms=p99(refused_ms),
        refusal_max_ms=refused_ms[-1],
        accepts_again_s=back_s,
    )
    assert {each.code for each in while_full} == {"RESOURCE_EXHAUSTED"}
    run.check()
