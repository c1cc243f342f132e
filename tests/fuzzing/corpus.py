"""The parse corpus, `tests/corpus`: raw inputs that were trouble somewhere once; and some too large for a file."""

from functools import cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parents[1] / "corpus"


@cache
def protobuf(path: str) -> tuple[bytes, ...]:
    """Returns the inputs for an RPC: those for every one, and those in a folder by its name."""
    return (
        *_read(FOLDER / "protobuf", "*.bin"),
        *_read(FOLDER / "protobuf" / path[1:].replace("/", "."), "*.bin"),
        *_LARGE_MESSAGES,
    )


@cache
def bodies() -> tuple[bytes, ...]:
    """Returns the bodies for every route that takes one."""
    return (*_read(FOLDER / "json", "*"), *_LARGE_BODIES)


def _read(folder: Path, pattern: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.glob(pattern)) if path.is_file()]


_LARGE_MESSAGES: Final = (
    b"\x0a\x00" * 30_000,  # 30,000 empty elements of the first field
    b"\x0a\x00" * 500_000,  # 500,000
    b"\x0b" * 10_000,  # groups, 10,000 deep
    b"\x0a\x80\x80\x04" + b"u" * 65_536,
)
_LARGE_BODIES: Final = (
    b"[" * 10_000 + b"]" * 10_000,
    b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    b'{"metadata":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_001,
    b'{"interactions":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    b'{"interactions":[' + b"{}," * 999_999 + b"{}]}",  # a million
    b'{"interactions":[' + b"1," * 30_000 + b"1]}",
    b'{"watchTime":' + b"9" * 60_000 + b"}",
    b'{"position":-' + b"9" * 60_000 + b"}",
    b'{"userId":"' + b"\\u0000" * 10_000 + b'"}',
    b"{" + b",".join(b'"userId":"u%d"' % number for number in range(4_000)) + b"}",
    b" " * 65_000 + b"{}",
)
