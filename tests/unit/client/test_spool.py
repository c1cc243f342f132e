"""What the spool still has after a process has ended, in whatever way."""

import json
import os
from pathlib import Path

import pytest

from interactions.client.event import Event
from interactions.client.spool import Spool, SpoolError


def event(number: int, size: int = 0) -> Event:
    return Event(f"e{number}", json.dumps({"eventId": f"e{number}", "pad": "x" * size}).encode())


def opened(path: Path) -> tuple[Spool, list[str]]:
    spool = Spool(path)
    return spool, [each.event_id for each in spool.open()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "events"


def test_the_next_process_finds_what_has_no_answer_in_order(path: Path) -> None:
    spool, found = opened(path)
    assert found == []
    for number in range(5):
        spool.add(event(number))
    spool.settled([event(1), event(3)])
    spool.close()

    again = Spool(path)
    assert again.open() == [event(0), event(2), event(4)]


def test_what_is_written_survives_a_kill_without_closing(path: Path) -> None:
    first, _ = opened(path)
    first.add(event(0))
    first.settled([event(0)])
    first.add(event(1))
    os.close(first._descriptor)  # as the end of a process does

    assert opened(path)[1] == ["e1"]


def test_a_half_written_line_costs_only_itself(path: Path) -> None:
    spool, _ = opened(path)
    spool.add(event(0))
    spool.close()
    with path.open("ab") as file:
        file.write(event(1).line[:7])

    again, found = opened(path)
    again.add(event(2))
    again.close()
    assert (found, opened(path)[1]) == (["e0"], ["e0", "e2"])


def test_an_empty_outbox_is_an_empty_file(path: Path) -> None:
    spool, _ = opened(path)
    for number in range(3):
        spool.add(event(number))
    spool.settled([event(number) for number in range(3)])
    assert path.stat().st_size == 0


def test_a_file_that_is_never_empty_does_not_grow_for_ever(path: Path) -> None:
    spool, _ = opened(path)
    spool.add(event(0))
    largest = 0
    for number in range(1, 60):
        spool.add(event(number, size=50_000))
        spool.settled([event(number)])
        largest = max(largest, path.stat().st_size)

    assert largest < 1_200_000
    spool.close()
    assert opened(path)[1] == ["e0"]


def test_each_process_has_its_own_file(path: Path) -> None:
    first, _ = opened(path)
    second, found = opened(path)
    first.add(event(1))
    second.add(event(2))

    assert found == []
    assert sorted(each.name for each in path.parent.iterdir()) == ["events", "events.1"]
    assert (b"e1" in path.read_bytes(), b"e2" in path.with_name("events.1").read_bytes()) == (True, True)


def test_what_dead_processes_left_goes_to_the_next_one(path: Path) -> None:
    """Fewer processes may come back than have ended."""
    spools = [opened(path)[0] for _ in range(3)]
    for number, spool in enumerate(spools):
        spool.add(event(number))
    for spool in spools[1:]:
        spool.close()

    heir, found = opened(path)  # the first still runs

    assert found == ["e1", "e2"]
    heir.settled([event(1)])
    heir.close()
    spools[0].close()
    assert opened(path)[1] == ["e0", "e2"]


def test_a_file_holds_persons_data_for_its_owner_only(path: Path) -> None:
    spool, _ = opened(path)
    spool.add(event(0))
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_disk_that_refuses_is_counted_and_the_next_line_is_whole(path: Path) -> None:
    spool, _ = opened(path)
    whole = spool._descriptor
    reading = os.open(path, os.O_RDONLY)
    spool._descriptor = reading  # every write fails
    spool.add(event(0))
    spool._descriptor = whole
    os.write(whole, event(0).line[:5])  # what a full disk leaves
    spool.add(event(1))
    os.close(reading)
    spool.close()

    assert spool.errors == 1
    assert opened(path)[1] == ["e1"]


def test_a_spool_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError, match="cannot be opened"):
        Spool(tmp_path / "file" / "events").open()
