import gzip
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from interactions.bulk.csv_source import CsvFile

WriteCsv = Callable[[Sequence[str]], CsvFile]


@pytest.fixture
def csv_file(tmp_path: Path) -> WriteCsv:
    """Writes lines as a gzipped CSV file."""

    def write(lines: Sequence[str]) -> CsvFile:
        path = tmp_path / "some.csv.gz"
        path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))
        return CsvFile(path, [])

    return write
