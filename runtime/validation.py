"""The rules of the proto files, checked: one set of rules for gRPC and REST."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from protovalidate import FieldPathElementPb, FieldPathPb, Validator, ViolationPb

from buf.validate import validate_pb2
from runtime.errors import InvalidArgumentError, Violation

# Compiled rules are cached inside; the object itself never changes.
_VALIDATOR = Validator()

# Said for people instead of the bare pattern.
_ID_PATTERN = "`^[A-Za-z0-9_.:-]{1,128}$`"
_ID_TEXT = "must be 1 to 128 characters of A-Z a-z 0-9 _ . : -"

# What protobuf calls a valid time; beyond it, its own conversions raise.
_SECONDS: Final = range(-62_135_596_800, 253_402_300_800)
_NANOS: Final = range(1_000_000_000)
_TIME_TEXT: Final = "must be from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999999Z"

# A broken rule takes 30 us to find and to name, and an element may break several: those of so many take some 20 ms. In
# a batch, whose lists hold lists, there may be a thousand times as many.
_MANY_ELEMENTS: Final = 200

# A key from outside is cut here before it is told back.
_TOLD_CHARS: Final = 64


def check(message: Message) -> list[Violation]:
    """Returns every broken rule of a message, one a field, in the order of the fields.

    Of one that holds too much, or times that are none, only that: each rule of each element is a computation, and a
    megabyte of empty elements has a minute of them. Of one with more elements than are looked at whatever they break,
    the first broken rule that is found.
    """
    held = _Held()
    unfit = list(_unfit(message, "", held))
    if unfit:
        return unfit
    found: dict[str, Violation] = {}
    for violation in _VALIDATOR.collect_violations(message, fail_fast=held.elements > _MANY_ELEMENTS):
        path = _json_path(message, violation.proto.field)
        found.setdefault(path, Violation(path, _reason(message, violation.proto)))
    return list(found.values())


def require_valid(message: Message) -> None:
    """Raises InvalidArgumentError when a rule is broken."""
    violations = check(message)
    if violations:
        raise InvalidArgumentError(violations)


class _Bounds(NamedTuple):
    """What is looked at in a field before its rules are.

    Args:
        field: The field.
        most: So many elements or pairs it may hold; 0: it has no bound.
        is_looked_into: Whether there are such fields, or times, in its messages.
    """

    field: FieldDescriptor
    most: int
    is_looked_into: bool


@dataclass(slots=True)
class _Held:
    """How many elements the lists of a message hold, in all, as far as it was looked at."""

    elements: int = 0


def _unfit(message: Any, prefix: str, held: _Held) -> Iterator[Violation]:
    if isinstance(message, Timestamp):
        if message.seconds not in _SECONDS or message.nanos not in _NANOS:
            yield Violation(prefix, _TIME_TEXT)
        return
    for field, most, is_looked_into in _bounds(message.DESCRIPTOR):
        path = f"{prefix}.{field.json_name}" if prefix else field.json_name
        value = getattr(message, field.name)
        if field.is_repeated:
            held.elements += len(value)
        if most and len(value) > most:
            yield Violation(path, f"must hold at most {most}, holds {len(value)}")
        elif is_looked_into and field.is_repeated:
            for number, each in enumerate(value):
                yield from _unfit(each, f"{path}[{number}]", held)
        elif is_looked_into and message.HasField(field.name):
            yield from _unfit(value, path, held)


@cache
def _bounds(descriptor: Descriptor) -> tuple[_Bounds, ...]:
    found = (_bounds_of(field) for field in descriptor.fields)
    return tuple(each for each in found if each.most or each.is_looked_into)


def _bounds_of(field: FieldDescriptor) -> _Bounds:
    rules = field.GetOptions().Extensions[validate_pb2.field]
    inner = field.message_type
    is_map = inner is not None and inner.GetOptions().map_entry
    looks = inner is not None and not is_map and (inner is Timestamp.DESCRIPTOR or bool(_bounds(inner)))
    return _Bounds(field, rules.map.max_pairs if is_map else rules.repeated.max_items, looks)


def _reason(root: Message, violation: ViolationPb) -> str:
    if _ID_PATTERN in violation.message:
        return _ID_TEXT
    if violation.rule_id.startswith("enum."):
        return f"must be one of {', '.join(_enum_names(root, violation.field))}"
    return violation.message.removeprefix("value ")


def _enum_names(root: Message, path: FieldPathPb | None) -> list[str]:
    *_, (_, field) = _walk(root, path)
    return [value.name for value in field.enum_type.values if value.number] if field and field.enum_type else []


def _json_path(root: Message, path: FieldPathPb | None) -> str:
    """Turns a path of proto names into one of JSON names."""
    return ".".join(
        (field.json_name if field else element.field_name) + _subscript(element) for element, field in _walk(root, path)
    )


def _walk(root: Message, path: FieldPathPb | None) -> Iterator[tuple[FieldPathElementPb, FieldDescriptor | None]]:
    descriptor = cast(Descriptor | None, root.DESCRIPTOR)
    for element in path.elements if path else ():
        field = descriptor.fields_by_name.get(element.field_name) if descriptor else None
        yield element, field
        descriptor = field.message_type if field else None


def _subscript(element: FieldPathElementPb) -> str:
    if element.subscript is None:
        return ""
    value = element.subscript.value
    return f"[{value[:_TOLD_CHARS]!r}]" if isinstance(value, str) else f"[{value}]"
