"""The topics and rights that this installation declares, out of `topics.toml` beside this file."""

from pathlib import Path
from typing import Final

from eventlog.declaration import Declaration, parse

TOPICS: Final = Path(__file__).with_name("topics.toml")


def declared() -> Declaration:
    """Reads the declaration."""
    return parse(TOPICS.read_text())
