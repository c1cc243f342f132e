"""The journal file: offsets, limits, pruning, readers beside writers."""

import os
import shutil
import time
from pathlib import Path

import pytest

from eventlog.adapters import journal_folder
from eventlog.adapters.journal_file import JournalFile
from eventlog.ports import LogFullError, Record, StoredRecord
from tests.polling import wait_for
from tests.unit.eventlog.small_journal import BIG, SMALL, Opener, keys, offsets, records, segments


def test_offsets_of_a_topic_have_no_gaps(open_file: Opener) -> None:
    file = open_file()
    file.append([*records(2, "a"), *records(3, "b"), *records(1, "a")])
    file.append(records(2, "b"))

    first_a, first_b = offsets(file, "a")[0], offsets(file, "b")[0]
    assert offsets(file, "a") == [first_a, first_a + 1, first_a + 2]
    assert offsets(file, "b") == list(range(first_b, first_b + 5))


def test_two_writers_append_to_one_sequence(open_file: Opener) -> None:
    one, other = open_file(max_bytes=SMALL), open_file(max_bytes=SMALL)
    for _ in range(3):
        one.append(records(1, value=BIG))
        other.append(records(2))

    first = offsets(one)[0]
    assert offsets(one) == offsets(other) == list(range(first, first + 9))


def test_a_journal_made_anew_goes_on_beyond_the_old_offsets(path: Path) -> None:
    """Else a reader that remembers an offset of the old one would skip what is in the new one."""
    last = []
    for _ in range(2):
        file = JournalFile(path)
        file.append(records(50))
        last.append(offsets(file)[-1])
        file.close()
        shutil.rmtree(path)
        time.sleep(0.001)

    assert last[1] - 49 > last[0]


@pytest.mark.parametrize("name", ["..", ".", "%", "a/b", "sink.position", "ünï"])
def test_any_name_is_a_topic_and_a_reader(open_file: Opener, path: Path, name: str) -> None:
    file = open_file()
    file.append([Record(name, "k", b"v")])
    file.set_position(name, name, 1)

    assert len(offsets(open_file(), name)) == 1
    assert (file.position(name, name), file.position(name, "other")) == (1, None)
    assert [each.parent for each in path.glob("*/mark")] == [each for each in path.iterdir() if each.is_dir()]


def test_full_refuses_and_keeps_what_is_there(open_file: Opener) -> None:
    file = open_file(max_bytes=200_000)
    file.append(records(10))
    before = offsets(file)

    with pytest.raises(LogFullError, match="at most 200,000 bytes"):
        file.append(records(4, value=b"x" * 60_000))

    assert offsets(file) == before
    assert file.bytes_used() < 200_000


def test_there_is_room_again_once_the_reader_passed(open_file: Opener) -> None:
    file = open_file(max_bytes=300_000)
    with pytest.raises(LogFullError):
        for _ in range(100):
            file.append(records(10, value=b"x" * 1_000))

    file.set_position("t", "reader", offsets(file)[-1] + 1)

    assert file.bytes_used() < 300_000 / 8
    file.append(records(10, value=b"x" * 1_000))
    assert len(offsets(file)) >= 10


def test_the_limit_counts_what_other_processes_append(open_file: Opener) -> None:
    one, other = open_file(max_bytes=SMALL), open_file(max_bytes=SMALL)
    one.append(records(1))
    other.append(records(6, "other", BIG))

    def is_full() -> bool:
        try:
            one.require_room(20_000)
        except LogFullError:
            return True
        return False

    wait_for(is_full, bool, bound_s=3)


def test_pruning_waits_for_the_slowest_reader(open_file: Opener) -> None:
    file = open_file(max_bytes=SMALL)
    for _ in range(7):
        file.append(records(1, value=BIG))
    all_offsets = offsets(file)

    file.set_position("t", "fast", all_offsets[5])
    assert offsets(file) == all_offsets[5:], "only the fast reader was known"

    file.append(records(1, value=BIG))
    file.set_position("t", "slow", all_offsets[6])
    file.set_position("t", "fast", all_offsets[6] + 2)
    assert len(offsets(file)) == 2


def test_a_segment_read_in_part_stays_and_counts(open_file: Opener) -> None:
    file = open_file(max_bytes=SMALL)
    file.append(records(2, value=BIG))
    file.append(records(1, value=BIG))
    used = file.bytes_used()

    file.set_position("t", "reader", offsets(file)[1])

    assert (file.bytes_used(), len(offsets(file))) == (used, 3)


def test_offsets_grow_on_after_everything_was_pruned(open_file: Opener, path: Path) -> None:
    file = open_file(max_bytes=SMALL)
    file.append(records(5, value=BIG))
    end = offsets(file)[-1] + 1
    file.set_position("t", "reader", end)
    assert (segments(path), file.bytes_used(), file.next_offset("t")) == ([], 0, end)

    open_file().append(records(1))

    assert offsets(file) == offsets(open_file()) == [end]


def test_a_position_that_cannot_be_read_prunes_nothing(open_file: Opener, path: Path) -> None:
    file = open_file(max_bytes=SMALL)
    for _ in range(3):
        file.append(records(1, value=BIG))
    all_offsets = offsets(file)
    file.set_position("t", "slow", all_offsets[0])
    line = (path / "t" / "slow.position").read_bytes()
    (path / "t" / "slow.position").write_bytes(b"9" + line[1:])

    file.set_position("t", "fast", all_offsets[2])

    assert offsets(file) == all_offsets
    assert (file.position("t", "slow"), file.position("t", "fast")) == (None, all_offsets[2])


def test_a_topic_nobody_reads_keeps_its_newest(open_file: Opener) -> None:
    file = open_file(keep={"served": 3}, max_bytes=200_000)
    for number in range(7):
        file.append([Record("served", f"k{number}", b"x" * 25_000)])
    file.append(records(10, "t"))

    assert keys(file, "served") == ["k4", "k5", "k6"]
    assert len(offsets(file)) == 10


def test_count_from_an_offset(open_file: Opener) -> None:
    file = open_file(max_bytes=800_000)
    assert file.count_from("t", 0) == 0
    for _ in range(5):
        file.append(records(2, value=b"x" * 50_000))
    first = offsets(file)[0]

    counts = [open_file().count_from("t", offset) for offset in (0, first, first + 4, first + 10, first + 99)]

    assert counts == [10, 10, 6, 0, 0]


def test_the_age_of_what_waits(open_file: Opener) -> None:
    file = open_file()
    assert file.oldest_append_time_ms("t", 0) is None
    file.append([Record("t", "k", b"v", (), 17), Record("t", "k", b"v", (), 18)])
    first = offsets(file)[0]

    assert [file.oldest_append_time_ms("t", first + n) for n in range(3)] == [17, 18, None]


def test_reading_can_begin_anywhere_and_go_on(open_file: Opener) -> None:
    """Over several chunks and segments; also backwards, and from two places in turn."""
    file = open_file(max_bytes=8_000_000)
    for _ in range(40):
        file.append([Record("t", "k", os.urandom(60_000))])
    everything = file.read("t", 0, 100)
    first = everything[0].offset

    for step in (1, 7, 13):
        found: list[StoredRecord] = []
        while len(found) < 40:
            found += file.read("t", first + len(found), step)
            assert file.read("t", first + 2, 1) == everything[2:3]
        assert found == everything
    for number in reversed(range(40)):
        assert open_file().read("t", first + number, 2) == everything[number : number + 2]


def test_a_lock_that_is_held_is_told(open_file: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    file, other = open_file(), open_file()
    file.append(records(1))
    monkeypatch.setattr(journal_folder, "_LOCK_TIMEOUT_S", 0.05)

    with other._topic("t").folder.locked(), pytest.raises(TimeoutError, match="another process holds"):
        file.append(records(1))

    assert keys(file) == ["k0"], "reading needs no lock"
    file.append(records(1))


def test_readers_and_recovery_wait_for_nobody(open_file: Opener) -> None:
    file = open_file()
    file.append(records(3))
    with file._topic("t").folder.locked():
        reader = open_file()
        assert keys(reader) == ["k0", "k1", "k2"]
        reader.set_position("t", "reader", offsets(reader)[-1] + 1)


def test_a_reader_follows_a_writer_over_pruned_segments(open_file: Opener) -> None:
    writer, reader = open_file(max_bytes=SMALL), open_file(max_bytes=SMALL)
    next_offset, seen = 0, []
    for number in range(40):
        writer.append([Record("t", f"k{number}", BIG)])
        for record in reader.read("t", next_offset, 10):
            next_offset = record.offset + 1
            seen.append(record.key)
        if number % 3 == 2:
            reader.set_position("t", "reader", next_offset)

    assert seen == [f"k{number}" for number in range(40)]
    assert reader.count_from("t", next_offset) == 0


def test_a_file_where_the_folder_should_be_is_an_error(path: Path) -> None:
    path.write_bytes(b"no folder")

    with pytest.raises(NotADirectoryError):
        JournalFile(path)


def test_what_is_no_topic_does_not_matter(open_file: Opener, path: Path) -> None:
    file = open_file()
    file.append(records(1))
    used = file.bytes_used()
    (path / "lost+found").mkdir()
    (path / "journal.db").write_bytes(b"of an earlier version")

    file = open_file()
    file.require_writable(try_it=True)

    assert (keys(file), file.bytes_used()) == (["k0"], used)
    assert list((path / "lost+found").iterdir()) == []


def test_only_the_owner_may_look(open_file: Opener, path: Path) -> None:
    """It is full of what users did."""
    file = open_file()
    file.append(records(1))
    file.set_position("t", "reader", 1)

    modes = {each.name: each.stat().st_mode & 0o077 for each in [path, *path.rglob("*")]}

    assert set(modes.values()) == {0}, modes
