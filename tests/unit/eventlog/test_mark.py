"""The mark of a topic: what was written, or nothing."""

import pytest

from eventlog.domain import mark
from eventlog.domain.mark import Mark

MARK = Mark(1_763_747_000_000_000, 16_000_123, 1_763_747_000_050_000)


def test_what_goes_in_comes_out() -> None:
    assert mark.decode(mark.encode(MARK)) == MARK


@pytest.mark.parametrize("place", range(mark.MARK_BYTES))
def test_a_changed_byte_is_noticed(place: int) -> None:
    data = bytearray(mark.encode(MARK))
    data[place] ^= 1

    assert mark.decode(bytes(data)) is None


@pytest.mark.parametrize("data", [b"", mark.encode(MARK)[:-1], mark.encode(MARK) + b"\x00", bytes(mark.MARK_BYTES)])
def test_other_bytes_are_no_mark(data: bytes) -> None:
    assert mark.decode(data) is None
