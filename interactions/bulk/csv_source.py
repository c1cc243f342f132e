"""Gzipped CSV files read line by line, with what is wrong in them counted and never fatal."""

import csv
import gzip
import hashlib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

SHOWN_BAD_ROWS = 20


class SourceError(Exception):
    """The files given cannot be imported at all; the user gives others. The text names file and cause."""


class BadRowError(ValueError):
    """One row cannot be read; it is counted and left out."""


@dataclass
class BadRows:
    """What was left out: all counted, the first `SHOWN_BAD_ROWS` kept as `file:line: reason`."""

    count: int = 0
    shown: list[str] = field(default_factory=list)

    def add(self, file: str, line: int, reason: str) -> None:
        """Counts one bad row."""
        self.count += 1
        if len(self.shown) < SHOWN_BAD_ROWS:
            self.shown.append(f"{file}:{line}: {reason}")


class CsvFile:
    """One gzipped CSV file with a header.

    Args:
        path: The file.
        columns: The columns that must be in the header.

    Raises:
        SourceError: The file cannot be read or lacks a column.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self.name = path.name
        self.size_bytes = path.stat().st_size
        self.header = self._read_header(columns)
        self._raw: BinaryIO | None = None

    @property
    def read_bytes(self) -> int:
        """How much of the (compressed) file has been read."""
        return self._raw.tell() if self._raw is not None and not self._raw.closed else self.size_bytes

    def digest(self) -> str:
        """Returns the first 16 hex digits of the content's sha256."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]

    def positions(self, *columns: str) -> tuple[int, ...]:
        """Returns where these columns are in a row."""
        return tuple(self.header.index(column) for column in columns)

    def rows(self, bad: BadRows, first_line: int = 2) -> Iterator[tuple[int, list[str]]]:
        """Yields (line number, values) from `first_line` on; rows of the wrong length go to `bad`.

        Raises:
            SourceError: The compressed data is damaged or cut off.
        """
        with self.path.open("rb") as self._raw, gzip.open(self._raw, "rt", encoding="utf-8", errors="replace") as text:
            reader = csv.reader(text)
            while True:
                try:
                    row = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    bad.add(self.name, reader.line_num, str(error))
                    continue
                except (EOFError, OSError, zlib.error) as error:
                    raise SourceError(f"{self.path} is damaged after line {reader.line_num}: {error}") from error
                if reader.line_num < first_line or not row:
                    continue
                if len(row) != len(self.header):
                    bad.add(self.name, reader.line_num, f"{len(row)} columns, not {len(self.header)}")
                    continue
                yield reader.line_num, row

    def _read_header(self, columns: Sequence[str]) -> list[str]:
        try:
            with gzip.open(self.path, "rt", encoding="utf-8", errors="replace") as text:
                header = next(csv.reader(text), [])
        except (EOFError, OSError, zlib.error, csv.Error) as error:
            raise SourceError(f"{self.path} cannot be read as gzipped CSV: {error}") from error
        missing = [column for column in columns if column not in header]
        if missing:
            raise SourceError(f"{self.path} lacks the columns {', '.join(missing)}")
        return header


def whole_number(text: str, name: str, low: int, high: int) -> int:
    """Reads a whole number within bounds.

    Raises:
        BadRowError: It is none; the text names the column and the accepted range.
    """
    try:
        value = int(text)
    except ValueError:
        raise BadRowError(f"{name} is {text[:40]!r}, not a whole number") from None
    if not low <= value <= high:
        raise BadRowError(f"{name} is {value}, not in {low}..{high}")
    return value
