"""Lots that are drawn by hash: the same text draws the same lot, in every process and at every time. Pure."""

import hashlib
from typing import Final

_BYTES: Final = 8

# Lots are whole numbers below this.
LOTS: Final = 1 << (8 * _BYTES)


def lot_of(text: str) -> int:
    """Returns the lot of a text: uniform, 0 to LOTS - 1."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=_BYTES).digest(), "little")
