"""Messages of any type: an ordinary one, and the same with some fields made hostile."""

import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp

from tests.fuzzing import values
from tests.fuzzing.site import CORRECTION

_INTEGERS: Final = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.CPPTYPE_ENUM: (-(2**31), 2**31 - 1),
}
_FLOATS: Final = {FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT}
# What keeps the rules, where a letter does not.
_GOOD: Final[Mapping[str, Callable[[random.Random], str]]] = {
    "user_id": lambda rng: f"u{rng.randrange(1, 6)}",
    "video_id": lambda rng: f"e{rng.randrange(40):02}",
    "event_id": lambda rng: str(uuid.UUID(int=rng.getrandbits(128), version=4)),
    "country": lambda _: "DE",
    "countries": lambda _: "DE",
    "page_token": lambda _: "",
    "correction_id": lambda _: CORRECTION,
}
_MANY: Final = 1_001


def ordinary(descriptor: Descriptor, rng: random.Random, share: float = 0.6) -> Message:
    """Returns a message that mostly keeps the rules, with a share of what is not required."""
    message = GetMessageClass(descriptor)()
    if isinstance(message, Timestamp):
        message.FromMilliseconds(int((time.time() - rng.random() * 3_600) * 1_000))
        return message
    for field in descriptor.fields:
        if rng.random() < share or field.name in _GOOD or field.number <= 3:
            _put(message, field, lambda field: _good(field, rng), 1, lambda inner: ordinary(inner, rng, share))
    return message


def hostile(descriptor: Descriptor, rng: random.Random) -> Message:
    """Returns an ordinary message of which some fields, at any depth, are not."""
    message = ordinary(descriptor, rng)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        _spoil(message, rng)
    return message


def with_text(message: Message, text: str) -> Iterator[bytes]:
    """Yields a message once for each of its texts, at any depth, with another text in that place."""
    for owner, field in _texts(message):
        kept = type(owner)()
        kept.CopyFrom(owner)
        owner.ClearField(field.name)
        _put(owner, field, lambda _: text, 1, lambda inner: GetMessageClass(inner)())
        yield message.SerializeToString()
        owner.CopyFrom(kept)


def _texts(message: Message) -> Iterator[tuple[Message, FieldDescriptor]]:
    for field in cast(Descriptor, message.DESCRIPTOR).fields:
        is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
        if field.type == FieldDescriptor.TYPE_STRING or is_map:  # the maps of requests are of texts
            yield message, field
        for part in _parts(message, field):
            yield from _texts(part)


def _spoil(message: Message, rng: random.Random) -> None:
    """Makes one field hostile."""
    if isinstance(message, Timestamp):
        message.seconds, message.nanos = rng.choice(values.SECONDS), rng.choice(values.NANOS)
        return
    if not message.DESCRIPTOR.fields:
        return
    field = cast(FieldDescriptor, rng.choice(message.DESCRIPTOR.fields))
    inner = [each for each in _parts(message, field) if rng.random() < 0.9]
    if inner:
        _spoil(rng.choice(inner), rng)
        return
    message.ClearField(field.name)
    _put(
        message,
        field,
        lambda field: _bad(field, rng),
        rng.choice((0, 1, 1, 2, 21, _MANY)),
        lambda inner: ordinary(inner, rng),
    )


def _parts(message: Any, field: FieldDescriptor) -> list[Message]:
    """Returns the messages in a field; a map's are left as they are."""
    if field.message_type is None or field.message_type.GetOptions().map_entry:
        return []
    value = getattr(message, field.name)
    return list(value) if field.is_repeated else [value] if message.HasField(field.name) else []


def _put(
    message: Any,
    field: FieldDescriptor,
    make: Callable[[FieldDescriptor], Any],
    count: int,
    make_message: Callable[[Descriptor], Message],
) -> None:
    if field.message_type is None and not field.is_repeated:
        setattr(message, field.name, make(field))
    elif field.message_type is None:
        getattr(message, field.name).extend(make(field) for _ in range(count))
    elif field.message_type.GetOptions().map_entry:
        key, value = field.message_type.fields
        for _ in range(count):
            getattr(message, field.name)[make(key)] = make(value)
    elif field.is_repeated:
        getattr(message, field.name).extend(make_message(field.message_type) for _ in range(count))
    else:
        getattr(message, field.name).CopyFrom(make_message(field.message_type))


def _good(field: FieldDescriptor, rng: random.Random) -> Any:
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        made = _GOOD[field.name](rng) if field.name in _GOOD else "a"
        return made.encode() if field.type == FieldDescriptor.TYPE_BYTES else made
    if field.enum_type is not None:
        return rng.choice([value.number for value in field.enum_type.values if value.number] or [0])
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return rng.random() < 0.5
    return rng.random() * 0.5 if field.cpp_type in _FLOATS else rng.randrange(20)


def _bad(field: FieldDescriptor, rng: random.Random) -> Any:
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        made = values.text(rng)
        return made.encode() if field.type == FieldDescriptor.TYPE_BYTES else made
    if field.cpp_type in _FLOATS:
        return rng.choice(values.NUMBERS)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return rng.random() < 0.5
    low, high = _INTEGERS[field.cpp_type]
    return min(max(rng.choice(values.INTEGERS), low), high)
