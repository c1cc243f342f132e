"""What docs/fakes.md shows can be played as it stands."""

import re

import pytest

from fakes.script.entries import ActFields, PageFields
from fakes.script.reading import read
from tests.system import ROOT

TEXT = (ROOT / "docs" / "fakes.md").read_text()
BLOCKS = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
IN_LINES = re.findall(r"`(\{ .+? \})`", TEXT)
OF_PAGES = tuple(f"{{ {field}" for field in ("answer", "late"))


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_is_a_script(block: str) -> None:
    assert read(block, bridge=True).acts


@pytest.mark.parametrize("act", IN_LINES)
def test_an_example_is_an_act_or_a_page(act: str) -> None:
    read(f"{'pages' if act.startswith(OF_PAGES) else 'acts'} = [{act}]", bridge=True)


@pytest.mark.parametrize("field", [*ActFields.model_fields, *PageFields.model_fields])
def test_every_field_is_named(field: str) -> None:
    assert re.search(rf"\b{field}\b", TEXT)
