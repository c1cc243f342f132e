"""Headers in a frame, in few bytes: what nearly every record carries is written as a number.

Without this an event with a trace takes 521 bytes on average, and those of R14 do not fit 600 MB.
"""

from functools import lru_cache
from typing import Final, TypeAlias

import msgspec

from eventlog.ports import Headers

# A number means what it meant when it was written: only ever append.
_NAMES: Final = ("contract-version", "content-type", "traceparent")
_WHOLE: Final = (("content-type", b"application/json"),)

# The events of one call have the same ones: remembered, they cost a quarter.
_REMEMBERED: Final = 256

_Packed: TypeAlias = tuple[int | tuple[int | str, bytes], ...]

_NUMBER_OF_NAME: Final = {name: number for number, name in enumerate(_NAMES)}
_NUMBER_OF_WHOLE: Final = {header: number for number, header in enumerate(_WHOLE)}
_DECODER: Final = msgspec.msgpack.Decoder(_Packed)


@lru_cache(_REMEMBERED)
def encode(headers: Headers) -> bytes:
    """Returns the bytes of some headers."""
    return msgspec.msgpack.encode([_packed(header) for header in headers])


@lru_cache(_REMEMBERED)
def decode(data: bytes) -> Headers:
    """Returns the headers that `encode` was given."""
    return tuple([_unpacked(packed) for packed in _DECODER.decode(data)])


def _packed(header: tuple[str, bytes]) -> int | tuple[int | str, bytes]:
    number = _NUMBER_OF_WHOLE.get(header)
    if number is not None:
        return number
    name, value = header
    return _NUMBER_OF_NAME.get(name, name), value


def _unpacked(packed: int | tuple[int | str, bytes]) -> tuple[str, bytes]:
    if isinstance(packed, int):
        return _WHOLE[packed]
    name, value = packed
    return (_NAMES[name] if isinstance(name, int) else name), value
