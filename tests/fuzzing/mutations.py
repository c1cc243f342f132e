"""Bytes that were something once: mutations as fuzzers make them, each by a generator with a seed."""

import random
from collections.abc import Callable, Sequence
from typing import Final

# Tags and lengths that parsers of protobuf stumble over.
_TOKENS: Final = (
    b"\xff" * 10,  # a varint without end
    b"\xff" * 9 + b"\x01",  # the largest one
    b"\x80" * 9 + b"\x00",  # zero, said at length
    b"\x0a\xff\xff\xff\xff\x0f",  # 4 GB of the first field follow
    b"\x0b" * 200,  # groups in groups
    b"\x0c",  # the end of a group that never began
    b"\x07",  # a wire type that does not exist
    b"\x00",  # field number 0
    b"\xfa\xff\xff\xff\x0f\x00",  # the largest field number
    b"\x0a\x02\xc3\x28",  # text that is no UTF-8
    b'"',
    b"{",
    b"[" * 50,
    b"]",
    b",",
    b"null",
    b"NaN",
    b"-",
    b"1e999",
    b"\\ud800",
    b"\\u0000",
    b"\xc0\x80",
    b"%00",
    b"&",
    b"=",
)


def mutated(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """Returns bytes that differ from `data` in one to eight places.

    Args:
        data: Where it begins.
        others: What may be put in from.
        rng: Chooses.
    """
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        rng.choice(_MUTATIONS)(made, others, rng)
    return bytes(made)


def _at(data: bytearray, rng: random.Random) -> int:
    return rng.randrange(len(data) + 1)


def _flip(data: bytearray, _others: Sequence[bytes], rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _set(data: bytearray, _others: Sequence[bytes], rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _insert(data: bytearray, _others: Sequence[bytes], rng: random.Random) -> None:
    place = _at(data, rng)
    data[place:place] = rng.randbytes(rng.randrange(1, 9))


def _token(data: bytearray, _others: Sequence[bytes], rng: random.Random) -> None:
    place = _at(data, rng)
    data[place:place] = rng.choice(_TOKENS)


def _delete(data: bytearray, _others: Sequence[bytes], rng: random.Random) -> None:
    place = _at(data, rng)
    del data[place : place + rng.randrange(1, 17)]


def _cut(data: bytearray, _others: Sequence[bytes], rng: random.Random) -> None:
    del data[_at(data, rng) :]


def _repeat(data: bytearray, _others: Sequence[bytes], rng: random.Random) -> None:
    place = _at(data, rng)
    data[place:place] = data[place : place + rng.randrange(1, 33)] * rng.choice((1, 2, 100))


def _splice(data: bytearray, others: Sequence[bytes], rng: random.Random) -> None:
    other = rng.choice(others) if others else b""
    start = rng.randrange(len(other) + 1)
    place = _at(data, rng)
    data[place:place] = other[start : start + rng.randrange(1, 65)]


_MUTATIONS: Final[tuple[Callable[[bytearray, Sequence[bytes], random.Random], None], ...]] = (
    _flip,
    _set,
    _insert,
    _token,
    _delete,
    _cut,
    _repeat,
    _splice,
)
