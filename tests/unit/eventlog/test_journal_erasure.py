"""A user is taken out of a journal, and nobody else notices."""

import json
from pathlib import Path

from eventlog.adapters.journal_erasure import JournalErased, erase_user
from eventlog.adapters.journal_file import JournalFile
from eventlog.ports import Record
from tests.unit.eventlog.small_journal import SMALL, reports


def record(user_id: str, video_id: str = "v1") -> Record:
    return Record("t", user_id, json.dumps({"userId": user_id, "videoId": video_id}).encode(), (("a", b"b"),))


def everything(path: Path) -> bytes:
    return b"".join(each.read_bytes() for each in sorted(path.rglob("*")) if each.is_file())


def test_the_records_of_a_user_say_nothing_any_more_and_those_of_others_are_as_they_were(tmp_path: Path) -> None:
    journal = JournalFile(tmp_path, max_bytes=SMALL)
    for number in range(300):
        journal.append([record("u1", f"v{number}"), record("u11"), record("u2")])
    before = journal.read("t", 0, 10_000)

    assert erase_user(tmp_path, "u1") == JournalErased(300, 0)

    after = journal.read("t", 0, 10_000)
    assert [each.offset for each in after] == [each.offset for each in before]
    assert all(each.intact for each in after)
    assert [each for each in after if each.key in {"u11", "u2"}] == [each for each in before if each.key != "u1"]
    assert {(each.key, each.value.strip()) for each in after if each.key not in {"u11", "u2"}} == {("--", b"{}")}
    assert b'"u1"' not in everything(tmp_path)
    assert erase_user(tmp_path, "u1") == JournalErased(0, 0)
    journal.append([record("u2")])
    assert JournalFile(tmp_path, max_bytes=SMALL).read("t", after[-1].offset + 1, 10)[0].key == "u2"
    assert reports(tmp_path) == []
    journal.close()


def test_what_is_still_to_be_read_is_left_for_the_next_time(tmp_path: Path) -> None:
    journal = JournalFile(tmp_path)
    journal.append([record("u1", f"v{number}") for number in range(10)])
    first = journal.read("t", 0, 1)[0].offset
    journal.set_position("t", "sink", first + 4)
    assert erase_user(tmp_path, "u1") == JournalErased(4, 6)
    assert [each.key for each in journal.read("t", first + 4, 10)] == ["u1"] * 6
    assert erase_user(tmp_path, "u1", {"t": {"sink": first + 5}}) == JournalErased(1, 5)
    journal.set_position("t", "sink", first + 10)
    assert erase_user(tmp_path, "u1") == JournalErased(5, 0)
    journal.close()


def test_a_record_that_names_the_user_only_in_its_value_is_found(tmp_path: Path) -> None:
    """Dead letters keep the key that they had, which may be any."""
    journal = JournalFile(tmp_path)
    journal.append([Record("dlq", "", b'{"userId":"u1","videoId":5}'), Record("dlq", "", b'{"userId":"u12"}')])
    assert erase_user(tmp_path, "u1") == JournalErased(1, 0)
    assert [each.value.strip() for each in journal.read("dlq", 0, 10)] == [b"{}", b'{"userId":"u12"}']
    journal.close()


def test_where_there_is_no_journal_there_is_nothing_to_erase(tmp_path: Path) -> None:
    assert erase_user(tmp_path / "none", "u1") == JournalErased(0, 0)
    assert not (tmp_path / "none").exists()
