"""R21: what is damaged, missing or torn in a journal is told, and all the rest is read."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from eventlog.ports import Record
from eventlog.telemetry import Quarantined
from tests.unit.eventlog.small_journal import (
    BIG,
    FRAME,
    SMALL,
    Listener,
    Opener,
    flip,
    keys,
    offsets,
    records,
    reports,
    segments,
    write_behind,
)

PLACES = {
    "magic": 0,
    "checksum": 4,
    "length": 8,
    "length-high": 11,
    "offset": 12,
    "time": 20,
    "key length": 28,
    "headers length": 32,
    "key": 36,
    "headers": 38,
    "value": 39,
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_flipped_byte_is_noticed_and_the_rest_is_read(path: Path, open_file: Opener, place: int) -> None:
    listener = Listener()
    file = open_file(telemetry=listener)
    file.append(records(3))
    first = offsets(file)[0]
    assert segments(path)[0].stat().st_size == 3 * FRAME
    flip(segments(path)[0], FRAME + place)

    found = open_file(telemetry=listener).read("t", 0, 10)
    again = open_file(telemetry=listener).read("t", 0, 10)

    assert [(record.offset - first, record.intact) for record in found] == [(0, True), (1, False), (2, True)]
    assert again == found
    assert (len(found[1].value), found[1].append_time_ms) == (FRAME, found[2].append_time_ms)
    assert listener.told == [Quarantined(FRAME, 1)], "once, however often it is read"
    (report,) = reports(path)
    assert (report["reason"], report["first_offset"], report["next_offset"]) == ("damaged", first + 1, first + 2)
    (kept,) = (path / "t" / "quarantine").glob("*.bin")
    assert kept.read_bytes() == found[1].value


def test_the_last_record_may_be_the_damaged_one(path: Path, open_file: Opener) -> None:
    """It was acknowledged, so it is told as damaged, once, and what comes after it is read."""
    file = open_file()
    file.append(records(3))
    first = offsets(file)[0]
    flip(segments(path)[0], 3 * FRAME - 1)
    file = open_file()
    write_behind(segments(path)[0], first + 3, "aa")
    assert keys(file) == ["k0", "k1", "damaged"]
    assert len(file.read("t", first + 2, 1)[0].value) == FRAME, "what lies behind the mark is no part of it"
    os.truncate(segments(path)[0], 3 * FRAME)

    file.append(records(2))

    assert keys(file) == ["k0", "k1", "damaged", "k0", "k1"]
    assert [record.offset for record in file.read("t", first + 3, 10)] == [first + 3, first + 4]


def test_a_long_stretch_is_one_damaged_record(path: Path, open_file: Opener) -> None:
    """Zeroes over some pages, more than is read at a time."""
    file = open_file()
    file.append([Record("t", f"{number:04}", b"x" * 1_000) for number in range(2_000)])
    first = offsets(file)[0]
    size = segments(path)[0].stat().st_size // 2_000
    with segments(path)[0].open("r+b") as segment:
        segment.seek(500 * size + 3)
        segment.write(bytes(1_000 * size))

    found = open_file().read("t", 0, 10_000)

    assert [each.offset for each in found if not each.intact] == [first + 1_500]
    assert [int(each.key) for each in found if each.intact] == [*range(500), *range(1_501, 2_000)]
    assert [each.offset for each in open_file().read("t", first + 1_000, 2)] == [first + 1_500, first + 1_501]


def test_missing_bytes_are_told_and_their_offsets_are_not_given_again(path: Path, open_file: Opener) -> None:
    file = open_file()
    file.append(records(5))
    end = offsets(file)[-1] + 1
    file.close()
    os.truncate(segments(path)[0], 3 * FRAME)

    file = open_file()
    assert file.next_offset("t") == end
    file.append(records(1))

    assert keys(file) == ["k0", "k1", "k2", "damaged", "k0"]
    assert offsets(file)[-2:] == [end - 1, end]
    assert {report["reason"] for report in reports(path)} == {f"{2 * FRAME} bytes are missing"}


def test_a_segment_that_is_gone_is_told(path: Path, open_file: Opener) -> None:
    file = open_file(max_bytes=SMALL)
    for number in range(4):
        file.append([Record("t", f"k{number}", BIG)])
    segments(path)[2].unlink()

    assert keys(open_file()) == ["k0", "k1", "damaged", "k3"]


def test_a_torn_tail_is_put_aside_and_written_over(path: Path, open_file: Opener) -> None:
    listener = Listener()
    file = open_file()
    file.append(records(2))
    end = offsets(file)[-1] + 1
    left = write_behind(segments(path)[-1], end, "aa", "bb", less=1)
    assert keys(file) == ["k0", "k1"], "a reader sees nothing that nobody vouches for"

    file = open_file(telemetry=listener)

    assert keys(file) == ["k0", "k1", "aa"]
    assert segments(path)[-1].stat().st_size == 3 * FRAME
    (report,) = reports(path)
    assert (report["bytes"], report["first_offset"], report["next_offset"]) == (FRAME - 1, end + 1, end + 1)
    assert listener.told == [Quarantined(FRAME - 1, 0)]
    (kept,) = (path / "t" / "quarantine").glob("*.bin")
    assert kept.read_bytes() == left[FRAME:]
    file.append(records(1))
    assert offsets(file) == list(range(end - 2, end + 2))


def test_rubbish_that_hides_no_record_is_put_aside_and_is_none(path: Path, open_file: Opener) -> None:
    """After a power failure a later page may be there and an earlier one not."""
    file = open_file()
    file.append(records(1))
    end = offsets(file)[-1] + 1
    with segments(path)[0].open("ab") as segment:
        segment.write(bytes(50))
    write_behind(segments(path)[0], end, "aa")

    found = open_file().read("t", 0, 10)

    assert [(record.key, record.intact, record.offset) for record in found] == [
        ("k0", True, end - 1),
        ("aa", True, end),
    ]
    (report,) = reports(path)
    assert (report["bytes"], report["first_offset"], report["next_offset"]) == (50, end, end)


def test_a_writer_that_goes_on_puts_a_killed_one_right(path: Path, open_file: Opener) -> None:
    file = open_file()
    file.append(records(2))
    write_behind(segments(path)[-1], offsets(file)[-1] + 1, "aa", less=7)

    file.append(records(1))

    assert keys(file) == ["k0", "k1", "k0"]
    assert len(reports(path)) == 1


@pytest.mark.parametrize("spoil", [Path.unlink, lambda mark: flip(mark, 9), lambda mark: mark.write_bytes(b"")])
def test_without_its_mark_a_journal_is_whole(path: Path, open_file: Opener, spoil: Callable[[Path], object]) -> None:
    file = open_file(max_bytes=SMALL)
    for _ in range(3):
        file.append(records(1, value=BIG))
    file.close()
    spoil(path / "t" / "mark")

    file = open_file()
    file.append(records(2))

    first = offsets(file)[0]
    assert keys(file) == ["k0", "k0", "k0", "k0", "k1"]
    assert offsets(file) == list(range(first, first + 5))
    assert file.count_from("t", 0) == 5


def test_without_its_mark_a_damaged_end_is_told_and_no_offset_given_twice(path: Path, open_file: Opener) -> None:
    file = open_file()
    file.append(records(3))
    end = offsets(file)[-1] + 1
    file.close()
    (path / "t" / "mark").unlink()
    flip(segments(path)[-1], 3 * FRAME - 1)

    file = open_file()
    file.append(records(1))

    assert keys(file) == ["k0", "k1", "damaged", "k0"]
    assert offsets(file)[-1] >= end
    assert file.count_from("t", 0) == 3


def test_a_mark_older_than_the_segments_hides_nothing(path: Path, open_file: Opener) -> None:
    """After a power failure the mark may be that of some seconds before."""
    file = open_file(max_bytes=SMALL)
    file.append(records(1, value=BIG))
    old = (path / "t" / "mark").read_bytes()
    file.append([Record("t", "k1", BIG)])
    file.append([Record("t", "k2", BIG)])
    file.close()
    (path / "t" / "mark").write_bytes(old)

    file = open_file()
    file.append([Record("t", "k3", BIG)])

    assert keys(file) == ["k0", "k1", "k2", "k3"]
