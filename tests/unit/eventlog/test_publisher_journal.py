"""The journal's publisher: group commit, refusals, recovery."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from eventlog.adapters.journal_file import JournalFile
from eventlog.adapters.publisher_journal import JournalPublisher
from eventlog.batch import Batch
from eventlog.ports import Durability, EventLogError, LogFullError, NotAcknowledgedError, Record
from eventlog.telemetry import JournalMeasured, NoTelemetry
from tests.polling import until


@contextmanager
def opened(path: Path) -> Iterator[JournalFile]:
    file = JournalFile(path)
    try:
        yield file
    finally:
        file.close()


def stored(path: Path) -> int:
    with opened(path) as file:
        return len(file.read("t", 0, 10_000))


async def test_acknowledged_means_committed(tmp_path: Path) -> None:
    publisher = JournalPublisher(tmp_path / "journal")
    await publisher.start()

    for count in range(1, 4):
        assert await publisher.publish_many([Record("t", "k", b"v")]) == [Durability.JOURNAL]
        assert stored(tmp_path / "journal") == count

    await publisher.close()


async def test_what_waits_shares_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One flush costs milliseconds whatever it holds, so 400 callers must not need 400 of them."""
    commits: list[int] = []
    append = JournalFile.append

    def counted(self: JournalFile, records: list[Record]) -> None:
        commits.append(len(records))
        append(self, records)

    monkeypatch.setattr(JournalFile, "append", counted)
    publisher = JournalPublisher(tmp_path / "journal")
    await publisher.start()

    await asyncio.gather(*(publisher.publish_many([Record("t", "k", b"v")]) for _ in range(400)))

    await publisher.close()
    assert sum(commits) == 400
    assert len(commits) < 40


async def test_a_commit_is_bounded_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large records must not make a group that takes a second to write."""
    commits: list[int] = []
    append = JournalFile.append

    def counted(self: JournalFile, records: list[Record]) -> None:
        commits.append(sum(len(record.value) for record in records))
        append(self, records)

    monkeypatch.setattr(JournalFile, "append", counted)
    publisher = JournalPublisher(tmp_path / "journal")
    await publisher.start()

    await asyncio.gather(*(publisher.publish_many([Record("t", "k", b"x" * 60_000)] * 10) for _ in range(20)))

    await publisher.close()
    assert sum(commits) == 20 * 600_000
    assert max(commits) < 4_000_000 + 600_000


async def test_a_batch_is_written_without_what_it_knows_already(tmp_path: Path) -> None:
    publisher = JournalPublisher(tmp_path / "journal")
    await publisher.start()
    batch = Batch([Record("t", "k", b"there"), Record("t", "k", b"missing")])
    batch.settle(0, Durability.KAFKA)

    publisher.send(batch)

    assert await batch.outcomes(5) == [Durability.KAFKA, Durability.JOURNAL]
    await publisher.close()
    with opened(tmp_path / "journal") as file:
        assert [record.value for record in file.read("t", 0, 9)] == [b"missing"]


async def test_full_refuses_and_is_not_ready_until_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    publisher = JournalPublisher(path, max_bytes=150_000)
    await publisher.start()
    big = [Record("t", "k", b"x" * 50_000)]
    while (outcome := (await publisher.publish_many(big))[0]) is Durability.JOURNAL:
        pass

    assert isinstance(outcome, LogFullError)
    assert outcome.retry_after_s > 0
    assert "the journal holds" in str(publisher.not_ready())

    with opened(path) as reader:
        reader.set_position("t", "reader", reader.next_offset("t") or 0)

    async def problem() -> str | None:
        return publisher.not_ready()

    await until(problem, None, bound_s=5)
    assert await publisher.publish_many(big) == [Durability.JOURNAL]
    await publisher.close()


async def test_a_locked_journal_is_not_acknowledged_in_time(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    publisher = JournalPublisher(path, publish_timeout_s=0.2)
    await publisher.start()
    with ExitStack() as held:
        holder = held.enter_context(opened(path))
        held.enter_context(holder._topic("t").folder.locked())

        (outcome,) = await publisher.publish_many([Record("t", "k", b"v")])

    assert isinstance(outcome, NotAcknowledgedError)
    await publisher.close()


async def test_a_journal_that_cannot_be_written_says_so_and_recovers(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    publisher = JournalPublisher(path)
    await publisher.start()
    (path / "t").write_bytes(b"no folder")

    (outcome,) = await publisher.publish_many([Record("t", "k", b"v")])

    assert isinstance(outcome, NotAcknowledgedError)
    assert "the journal cannot be written" in str(publisher.not_ready())
    (path / "t").unlink()
    assert await publisher.publish_many([Record("t", "k", b"v")]) == [Durability.JOURNAL]
    assert publisher.not_ready() is None
    await publisher.close()


async def test_it_tells_how_large_the_journal_is(tmp_path: Path) -> None:
    told: list[JournalMeasured] = []

    class Listener(NoTelemetry):
        def journal_measured(self, record: JournalMeasured) -> None:
            told.append(record)

    publisher = JournalPublisher(tmp_path / "journal", telemetry=Listener())
    await publisher.start()
    await publisher.publish_many([Record("t", "k", b"x" * 1_000)])

    async def measured() -> bool:
        return bool(told) and told[-1].bytes_used > 1_000

    await until(measured, expected=True, bound_s=5)
    assert (told[-1].waiting, told[-1].oldest_age_s) == (None, 0)
    await publisher.close()


async def test_a_folder_that_cannot_be_made_is_said_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(EventLogError, match="file/journal cannot be opened"):
        await JournalPublisher(tmp_path / "file" / "journal").start()
