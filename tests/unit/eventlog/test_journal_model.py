"""Random histories of a journal against a list: writers that come and go and are killed, readers, pruning, damage."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from eventlog.adapters.journal_file import JournalFile
from eventlog.ports import LogFullError, Record

MAX_BYTES = 40_000
READERS = ("a", "b")


class JournalHistories(RuleBasedStateMachine):
    """The model: every record that was acknowledged, in order, and where the readers are in that list."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.acknowledged: list[bytes] = []
        self.read: dict[str, int] = dict.fromkeys(READERS, 0)
        self.next: dict[str, int] = dict.fromkeys(READERS, 0)
        self.written = 0
        self.lost_mark = False

    @initialize()
    def begin(self) -> None:
        self.files = [JournalFile(self.folder, max_bytes=MAX_BYTES) for _ in range(2)]
        self.readers = {name: JournalFile(self.folder) for name in READERS}
        for file in self.files:
            for name in READERS:
                file.set_position("t", name, 0)

    def teardown(self) -> None:
        for file in [*self.files, *self.readers.values()]:
            file.close()
        shutil.rmtree(self.folder)

    @rule(writer=st.integers(0, 1), sizes=st.lists(st.integers(0, 3_000), min_size=1, max_size=5))
    def append(self, writer: int, sizes: list[int]) -> None:
        values = [b"%06d" % (self.written + number) + b"x" * size for number, size in enumerate(sizes)]
        self.written += len(sizes)
        try:
            self.files[writer].append([Record("t", "k", value) for value in values])
        except LogFullError:
            assert self.files[writer].bytes_used() + sum(sizes) + 50 * len(sizes) > MAX_BYTES
        else:
            self.acknowledged += values

    @rule(name=st.sampled_from(READERS), count=st.integers(1, 7))
    def read_some(self, name: str, count: int) -> None:
        found = self.readers[name].read("t", self.next[name], count)
        values = [record.value for record in found if record.intact]
        start = self.read[name]
        self.read[name] += len(values)
        assert values == self.acknowledged[start : self.read[name]]
        assert len(found) == count or self.read[name] == len(self.acknowledged)
        assert self.lost_mark or len(values) == len(found)
        if found:
            self.next[name] = found[-1].offset + 1

    @rule(name=st.sampled_from(READERS))
    def note(self, name: str) -> None:
        self.readers[name].set_position("t", name, self.next[name])

    @rule(name=st.sampled_from(READERS))
    def start_reader_again(self, name: str) -> None:
        self.readers[name].close()
        self.readers[name] = JournalFile(self.folder)

    @rule(writer=st.integers(0, 1))
    def start_writer_again(self, writer: int) -> None:
        self.files[writer].close()
        self.files[writer] = JournalFile(self.folder, max_bytes=MAX_BYTES)

    @precondition(lambda self: any(self.folder.glob("t/*.log")))
    @rule(torn=st.binary(min_size=1, max_size=200))
    def kill_a_writer_in_the_middle(self, torn: bytes) -> None:
        with max(self.folder.glob("t/*.log")).open("ab") as segment:
            segment.write(torn)

    @rule()
    def lose_the_mark(self) -> None:
        """Then nobody knows whether torn bytes were acknowledged: they are told as damaged.

        All have to start again, since who has the file open would go on with it.
        """
        self.lost_mark = True
        (self.folder / "t" / "mark").unlink(missing_ok=True)
        self.start_writer_again(0)
        self.start_writer_again(1)
        for name in READERS:
            self.start_reader_again(name)

    @invariant()
    def every_unread_record_is_there(self) -> None:
        slowest = min(self.read.values())
        with_new_eyes = JournalFile(self.folder)
        try:
            found = with_new_eyes.read("t", min(self.next.values()), 10_000)
            assert [record.value for record in found if record.intact] == self.acknowledged[slowest:]
        finally:
            with_new_eyes.close()


JournalHistories.TestCase.settings = settings(max_examples=30, stateful_step_count=20)
TestJournalHistories = JournalHistories.TestCase
