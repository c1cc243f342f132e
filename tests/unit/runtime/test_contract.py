"""The contract release stands in one file and is spoken by one constant."""

from pathlib import Path

from runtime.contract import CONTRACT_RELEASE

ROOT = Path(__file__).parents[3]


def test_the_code_speaks_the_release_of_the_contract_file():
    assert (ROOT / "protos" / "CONTRACT").read_text() == CONTRACT_RELEASE + "\n"
