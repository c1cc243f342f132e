import gzip
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from interactions.bulk.csv_source import SHOWN_BAD_ROWS, BadRowError, BadRows, CsvFile, SourceError, whole_number

WriteCsv = Callable[[Sequence[str]], CsvFile]


def test_rows_of_the_wrong_length_are_counted_with_their_line(csv_file: WriteCsv) -> None:
    file, bad = csv_file(["a,b", "1,2", "3", "", "4,5,6", "7,8"]), BadRows()
    assert list(file.rows(bad)) == [(2, ["1", "2"]), (6, ["7", "8"])]
    assert bad == BadRows(2, ["some.csv.gz:3: 1 columns, not 2", "some.csv.gz:5: 3 columns, not 2"])


def test_reading_goes_on_at_a_line(csv_file: WriteCsv) -> None:
    file = csv_file(["a", "1", "2", "3"])
    assert list(file.rows(BadRows(), first_line=3)) == [(3, ["2"]), (4, ["3"])]


def test_a_field_that_csv_refuses_is_a_bad_row_and_the_next_is_read(csv_file: WriteCsv) -> None:
    file, bad = csv_file(["a", "x" * 200_000, "2"]), BadRows()
    assert list(file.rows(bad)) == [(3, ["2"])]
    assert bad.shown == ["some.csv.gz:2: field larger than field limit (131072)"]


def test_all_bad_rows_are_counted_and_the_first_are_shown() -> None:
    bad = BadRows()
    for line in range(100):
        bad.add("f", line, "no")
    assert (bad.count, len(bad.shown), bad.shown[0]) == (100, SHOWN_BAD_ROWS, "f:0: no")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"a,b\n1,2\n", "cannot be read as gzipped CSV", id="not gzipped"),
        pytest.param(b"", "lacks the columns a, c", id="empty"),
        pytest.param(gzip.compress(b"a,b\n"), "lacks the columns c", id="column missing"),
    ],
)
def test_a_file_that_is_none_of_ours_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.csv.gz"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=message):
        CsvFile(path, ["a", "c"])


def test_a_file_cut_off_is_said_to_be_damaged(tmp_path: Path) -> None:
    path = tmp_path / "x.csv.gz"
    whole = gzip.compress("".join(["a\n", *(f"{n * 7919 % 100_003}\n" for n in range(50_000))]).encode())
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match=r"x\.csv\.gz is damaged after line \d+"):
        list(CsvFile(path, ["a"]).rows(BadRows()))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "n is '', not a whole number", id="empty"),
        pytest.param("1.5", "n is '1.5', not a whole number", id="fraction"),
        pytest.param("nan", "n is 'nan', not a whole number", id="nan"),
        pytest.param("-1", r"n is -1, not in 0\.\.9", id="negative"),
        pytest.param("10", r"n is 10, not in 0\.\.9", id="too large"),
    ],
)
def test_whole_number_names_the_column_and_the_range(text: str, message: str) -> None:
    with pytest.raises(BadRowError, match=message):
        whole_number(text, "n", 0, 9)
