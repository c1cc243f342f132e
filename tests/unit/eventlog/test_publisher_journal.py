"""The journal's publisher: group commit, refusals, recovery."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from eventlog.adapters import journal_sqlite
from eventlog.adapters.publisher_journal import JournalPublisher
from eventlog.ports import Durability, EventLogError, LogFullError, NotAcknowledgedError, Record
from tests.polling import until


def stored(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("SELECT count(*) FROM records").fetchone()[0])
    finally:
        connection.close()


async def test_acknowledged_means_committed(tmp_path: Path) -> None:
    publisher = JournalPublisher(tmp_path / "journal.db")
    await publisher.start()

    for count in range(1, 4):
        assert await publisher.publish_many([Record("t", "k", b"v")]) == [Durability.JOURNAL]
        assert stored(tmp_path / "journal.db") == count

    await publisher.close()


async def test_what_waits_shares_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One commit costs 2.5 ms whatever it holds, so 400 callers must not need 400 of them."""
    commits: list[int] = []
    append = journal_sqlite.JournalFile.append

    def counted(self: journal_sqlite.JournalFile, records: list[Record]) -> None:
        commits.append(len(records))
        append(self, records)

    monkeypatch.setattr(journal_sqlite.JournalFile, "append", counted)
    publisher = JournalPublisher(tmp_path / "journal.db")
    await publisher.start()

    await asyncio.gather(*(publisher.publish_many([Record("t", "k", b"v")]) for _ in range(400)))

    await publisher.close()
    assert sum(commits) == 400
    assert len(commits) < 40


async def test_full_refuses_and_is_not_ready_until_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    publisher = JournalPublisher(path, max_bytes=150_000)
    await publisher.start()
    big = [Record("t", "k", b"x" * 50_000)]
    while (outcome := (await publisher.publish_many(big))[0]) is Durability.JOURNAL:
        pass

    assert isinstance(outcome, LogFullError)
    assert outcome.retry_after_s > 0
    assert "the journal holds" in str(publisher.not_ready())

    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM records")
    connection.close()

    async def problem() -> str | None:
        return publisher.not_ready()

    await until(problem, None, bound_s=5)
    assert await publisher.publish_many(big) == [Durability.JOURNAL]
    await publisher.close()


async def test_a_locked_file_is_not_acknowledged_in_time(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    publisher = JournalPublisher(path, publish_timeout_s=0.2)
    await publisher.start()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")

    (outcome,) = await publisher.publish_many([Record("t", "k", b"v")])

    assert isinstance(outcome, NotAcknowledgedError)
    holder.execute("ROLLBACK")
    holder.close()
    await publisher.close()


async def test_a_folder_that_cannot_be_made_is_said_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(EventLogError, match=r"file/journal\.db cannot be opened"):
        await JournalPublisher(tmp_path / "file" / "journal.db").start()
