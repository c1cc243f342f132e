"""Headers in a frame: small, and the same for ever, since journals outlive the code that wrote them."""

import pytest

from eventlog.domain import headers
from eventlog.ports import Headers

TRACE = b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"

# Bytes as a journal has them; a change of these makes what is on a disk unreadable.
GOLDEN: dict[str, tuple[Headers, bytes]] = {
    "none": ((), b"\x90"),
    "usual": (
        (("contract-version", b"v2025.9"), ("content-type", b"application/json"), ("traceparent", TRACE)),
        b"\x93\x92\x00\xc4\x07v2025.9\x00\x92\x02\xc4\x37" + TRACE,
    ),
    "other value": ((("content-type", b""),), b"\x91\x92\x01\xc4\x00"),
    "other name": ((("reason", b"\xff"), ("reason", b"")), b"\x92\x92\xa6reason\xc4\x01\xff\x92\xa6reason\xc4\x00"),
    "a name like a number": ((("0", b"x"),), b"\x91\x92\xa10\xc4\x01x"),
}


@pytest.mark.parametrize(("told", "written"), GOLDEN.values(), ids=GOLDEN)
def test_what_is_on_disk_means_the_same_for_ever(told: Headers, written: bytes) -> None:
    assert headers.encode(told) == written
    assert headers.decode(written) == told
