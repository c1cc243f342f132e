"""The journal file: offsets, limits, pruning, damage."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eventlog.adapters.journal_sqlite import JournalFile
from eventlog.ports import LogFullError, Record

Opener = Callable[..., JournalFile]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "eventlog" / "journal.db"


@pytest.fixture
def open_file(path: Path) -> Iterator[Opener]:
    opened: list[JournalFile] = []

    def make(**options: object) -> JournalFile:
        opened.append(JournalFile(path, **options))  # type: ignore[arg-type]
        return opened[-1]

    yield make
    for file in opened:
        file.close()


def records(count: int, topic: str = "t", value: bytes = b"v") -> list[Record]:
    return [Record(topic, f"k{number}", value) for number in range(count)]


def offsets(file: JournalFile, topic: str = "t") -> list[int]:
    return [record.offset for record in file.read(topic, 0, 10_000)]


def test_offsets_of_a_topic_have_no_gaps(open_file: Opener) -> None:
    file = open_file()
    file.append([*records(2, "a"), *records(3, "b"), *records(1, "a")])
    file.append(records(2, "b"))

    first_a, first_b = offsets(file, "a")[0], offsets(file, "b")[0]
    assert offsets(file, "a") == [first_a, first_a + 1, first_a + 2]
    assert offsets(file, "b") == list(range(first_b, first_b + 5))


def test_two_connections_append_to_one_sequence(open_file: Opener) -> None:
    one, other = open_file(), open_file()
    for _ in range(3):
        one.append(records(1))
        other.append(records(2))

    first = offsets(one)[0]
    assert offsets(one) == offsets(other) == list(range(first, first + 9))


def test_a_journal_made_anew_goes_on_beyond_the_old_offsets(path: Path) -> None:
    """Else a reader that remembers an offset of the old file would skip what is in the new one."""
    last = []
    for _ in range(2):
        file = JournalFile(path)
        file.append(records(50))
        last.append(offsets(file)[-1])
        file.close()
        for part in path.parent.iterdir():
            part.unlink()
        time.sleep(0.001)

    assert last[1] - 49 > last[0]


def test_full_refuses_and_keeps_what_is_there(open_file: Opener) -> None:
    file = open_file(max_bytes=200_000)
    file.append(records(10))
    before = offsets(file)

    with pytest.raises(LogFullError, match="at most 200,000 bytes"):
        file.append(records(4, value=b"x" * 60_000))

    assert offsets(file) == before


def test_there_is_room_again_once_the_reader_passed(open_file: Opener) -> None:
    file = open_file(max_bytes=300_000)
    with pytest.raises(LogFullError):
        for _ in range(100):
            file.append(records(10, value=b"x" * 1_000))

    file.set_position("t", "reader", offsets(file)[-1] + 1)

    file.append(records(10, value=b"x" * 1_000))
    assert len(offsets(file)) == 10


def test_pruning_waits_for_the_slowest_reader(open_file: Opener) -> None:
    file = open_file()
    file.append(records(10))
    all_offsets = offsets(file)

    file.set_position("t", "fast", all_offsets[8])
    file.set_position("t", "slow", all_offsets[3])
    assert offsets(file) == all_offsets[8:], "only the fast reader was known when the first eight were dropped"

    file.append(records(1))
    file.set_position("t", "fast", all_offsets[9])
    assert len(offsets(file)) == 3


def test_offsets_grow_on_after_everything_was_pruned(open_file: Opener) -> None:
    file = open_file()
    file.append(records(5))
    end = offsets(file)[-1] + 1
    file.set_position("t", "reader", end)

    file.append(records(1))

    assert offsets(file) == [end]


def test_a_topic_nobody_reads_keeps_its_newest(open_file: Opener) -> None:
    file = open_file(keep={"served": 3})
    file.append(records(10, "served"))
    file.append(records(10, "t"))

    assert [record.key for record in file.read("served", 0, 100)] == ["k7", "k8", "k9"]
    assert len(offsets(file)) == 10


def test_count_from_an_offset(open_file: Opener) -> None:
    file = open_file()
    assert file.count_from("t", 0) == 0
    file.append(records(10))
    first = offsets(file)[0]

    counts = [file.count_from("t", offset) for offset in (0, first, first + 4, first + 10, first + 99)]

    assert counts == [10, 10, 6, 0, 0]


@pytest.mark.parametrize("column", ["value", "key", "headers"])
def test_a_flipped_byte_is_noticed_and_the_rest_is_read(path: Path, open_file: Opener, column: str) -> None:
    file = open_file()
    file.append(records(3))
    damaged = offsets(file)[1]
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE records SET {column} = X'C1FF' WHERE offset = ?", (damaged,))
    connection.close()

    assert [(record.offset == damaged, record.intact) for record in file.read("t", 0, 10)] == [
        (False, True),
        (True, False),
        (False, True),
    ]


def test_a_file_that_is_no_journal_is_an_error(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1_000)

    with pytest.raises(sqlite3.DatabaseError):
        JournalFile(path)
