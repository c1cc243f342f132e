"""SECURITY.md names tests that there are, for each item of OWASP's list, and for each security target."""

import re

import pytest

from tests.system import ROOT

TEXT = (ROOT / "SECURITY.md").read_text()
FILES = sorted(set(re.findall(r"`((?:tests|runtime|deploy|insights|docs)/[^`]+)`", TEXT)))


@pytest.mark.parametrize("path", FILES)
def test_every_file_it_names_is_there(path: str):
    assert (ROOT / path).exists()


@pytest.mark.parametrize("item", [f"API{number}" for number in range(1, 11)])
def test_each_item_of_owasp_names_a_test(item: str):
    row = next(line for line in TEXT.splitlines() if line.startswith(f"| {item} "))
    assert re.search(r"`tests/\S+\.py`", row)


def test_each_test_of_a_target_is_named():
    there = {f"tests/chaos/{path.name}" for path in (ROOT / "tests" / "chaos").glob("test_s[0-9][0-9]_*.py")}
    assert there - set(FILES) == set()
