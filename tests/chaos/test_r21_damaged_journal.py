"""R21: the journal is damaged while nobody writes it; every intact record is read back, and the rest is told."""

import random
import time
from contextlib import closing
from pathlib import Path

import pytest

from eventlog.adapters.journal_file import JournalFile
from eventlog.ports import Record, StoredRecord
from tests.chaos.conftest import Reporter
from tests.chaos.journals import MAX_BYTES, READER, SPOILERS, TOPIC, KnownJournal, SpoiledJournal, known_journal

TARGET = "no crash; all intact records replayed, damaged ones told"
RECORDS = 2_000
SEED = 21


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> KnownJournal:
    return known_journal(tmp_path_factory.mktemp("known") / "journal", RECORDS, random.Random(SEED))


def read_all(file: JournalFile, chance: random.Random) -> list[StoredRecord]:
    found: list[StoredRecord] = []
    while some := file.read(TOPIC, found[-1].offset + 1 if found else 0, chance.randint(1, 700)):
        found += some
    return found


def silently_lost(found: list[StoredRecord], first: int, end: int) -> int:
    """Returns how many offsets are neither read nor before a record that is said to be damaged."""
    lost, expected = 0, first
    for record in found:
        if record.intact:
            lost += record.offset - expected
        expected = record.offset + 1
    return lost + max(0, end - expected)


def wrong(spoiled: SpoiledJournal, chance: random.Random) -> str:
    """Reads a damaged journal, writes to it, reads on; says what should not be."""
    intact = spoiled.intact()
    first, last = (spoiled.pristine.written[place].record.offset for place in (0, -1))
    with closing(JournalFile(spoiled.path, max_bytes=MAX_BYTES)) as file:
        found = read_all(file, chance)
        file.append([Record(TOPIC, "new", b"1"), Record(TOPIC, "new", b"2")])
        after = file.read(TOPIC, found[-1].offset + 1 if found else 0, 10)
        file.set_position(TOPIC, READER, after[-1].offset + 1)
    replayed = {record.offset: record for record in found if record.intact}
    if missing := [record.offset for record in intact if replayed.get(record.offset) != record]:
        return f"{len(missing)} intact records are missing, first {missing[0] - first}"
    if len(replayed) != len(intact):
        return f"{len(replayed) - len(intact)} records are there that were not written so"
    if lost := silently_lost([*found, *after], first, last + 1):
        return f"{lost} lost records were not told"
    if [record.value for record in after if record.intact] != [b"1", b"2"] or after[-1].offset <= last:
        return f"what was appended afterwards is {[(each.offset - first, each.intact) for each in after]}"
    return ""


def test_intact_records_are_read_back(pristine: KnownJournal, tmp_path: Path, long: bool, report: Reporter) -> None:
    faults: list[str] = []
    corruptions, intact, slowest_s = 1_000 if long else 100, 0, 0.0
    names = sorted(SPOILERS)
    for seed in range(corruptions):
        chance, name = random.Random(SEED + seed), names[seed % len(names)]
        spoiled = pristine.spoiled(tmp_path / "journal", SPOILERS[name], chance)
        intact += len(spoiled.intact())
        start = time.perf_counter()
        fault = wrong(spoiled, chance)
        slowest_s = max(slowest_s, time.perf_counter() - start)
        faults += [f"{name}, seed {seed}: {fault}"] if fault else []
    report(
        "R21",
        "a journal of 2,000 records damaged: torn tail, flipped byte, zeroed or foreign page, truncated, lost segment",
        target=TARGET,
        met=not faults,
        corruptions=corruptions,
        faults=len(faults),
        intact_replayed=intact,
        of_records=corruptions * len(pristine.written),
        slowest_s=slowest_s,
    )
    assert faults == []
