"""The rules of the proto files, checked: one set of rules for gRPC and REST."""

from collections.abc import Iterator
from typing import cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from protovalidate import FieldPathElementPb, FieldPathPb, Validator, ViolationPb

from runtime.errors import InvalidArgumentError, Violation

# Compiled rules are cached inside; the object itself never changes.
_VALIDATOR = Validator()

# Said for people instead of the bare pattern.
_ID_PATTERN = "`^[A-Za-z0-9_.:-]{1,128}$`"
_ID_TEXT = "must be 1 to 128 characters of A-Z a-z 0-9 _ . : -"


def check(message: Message) -> list[Violation]:
    """Returns every broken rule of a message, one a field, in the order of the fields."""
    found: dict[str, Violation] = {}
    for violation in _VALIDATOR.collect_violations(message):
        path = _json_path(message, violation.proto.field)
        found.setdefault(path, Violation(path, _reason(message, violation.proto)))
    return list(found.values())


def require_valid(message: Message) -> None:
    """Raises InvalidArgumentError when a rule is broken."""
    violations = check(message)
    if violations:
        raise InvalidArgumentError(violations)


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
    return f"[{element.subscript.value}]" if element.subscript.field == "index" else f"[{element.subscript.value!r}]"
