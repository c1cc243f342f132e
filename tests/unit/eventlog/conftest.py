"""What tests of the journal share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from eventlog.adapters.journal_file import JournalFile
from tests.unit.eventlog.small_journal import Opener


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "eventlog"


@pytest.fixture
def open_file(path: Path) -> Iterator[Opener]:
    opened: list[JournalFile] = []

    def make(**options: object) -> JournalFile:
        opened.append(JournalFile(path, **options))  # type: ignore[arg-type]
        return opened[-1]

    yield make
    for file in opened:
        file.close()
