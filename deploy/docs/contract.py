"""The reference of the gRPC services, made of the proto files and their comments."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Final

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)
from grpc_tools import protoc

_HEAD: Final = """# The gRPC contract

Made by `make docs` out of `protos/feed/`, contract release {release}. The same over REST is in `/openapi.json` of each process: there, names are lowerCamelCase. [Using the API](api.md) says how to live with it, [clients](clients/README.md) how to call it.
"""  # noqa: E501  # a paragraph of Markdown is one line
# Field numbers of file, message, enum and service in a descriptor: what paths of comments are made of.
_MESSAGE, _FIELD, _ENUM, _VALUE, _SERVICE, _METHOD = 4, 2, 5, 2, 6, 2
_SCALARS: Final = {
    FieldDescriptorProto.TYPE_STRING: "string",
    FieldDescriptorProto.TYPE_BOOL: "bool",
    FieldDescriptorProto.TYPE_DOUBLE: "double",
    FieldDescriptorProto.TYPE_FLOAT: "float",
    FieldDescriptorProto.TYPE_INT32: "int32",
    FieldDescriptorProto.TYPE_INT64: "int64",
    FieldDescriptorProto.TYPE_UINT32: "uint32",
    FieldDescriptorProto.TYPE_UINT64: "uint64",
    FieldDescriptorProto.TYPE_FIXED64: "fixed64",
    FieldDescriptorProto.TYPE_BYTES: "bytes",
}


def page(root: Path) -> str:
    """Returns the reference, as a document.

    Args:
        root: The folder of the proto files.
    """
    release = (root / "CONTRACT").read_text("utf-8").strip()
    return "\n".join([_HEAD.format(release=release), *(_Section(file).text() for file in _read(root))])


def _read(root: Path) -> Iterable[FileDescriptorProto]:
    """Returns what describes the files, with comments: those with services first."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "protos.binpb"
        names = sorted(str(path.relative_to(root)) for path in (root / "feed").rglob("*.proto"))
        paths = [f"-I{root}", f"-I{files('grpc_tools') / '_proto'}"]
        if protoc.main(["protoc", *paths, "--include_source_info", f"--descriptor_set_out={out}", *names]) != 0:
            raise SystemExit(1)
        found = FileDescriptorSet.FromString(out.read_bytes()).file
    return sorted(found, key=lambda file: (not file.service, file.name))


class _Section:
    """What is said of one file."""

    def __init__(self, file: FileDescriptorProto) -> None:
        self._file = file
        self._comments: Mapping[tuple[int, ...], str] = {
            tuple(place.path): " ".join(place.leading_comments.split()) for place in file.source_code_info.location
        }

    def text(self) -> str:
        return "\n".join(self._parts())

    def _parts(self) -> Iterator[str]:
        yield f"## {self._file.name}\n"
        for number, service in enumerate(self._file.service):
            yield f"### {service.name}\n\n{self._comments[_SERVICE, number]}\n"
            yield "| call | request | answer | meaning |\n|---|---|---|---|"
            for place, method in enumerate(service.method):
                yield _call(method, self._comments[_SERVICE, number, _METHOD, place])
            yield ""
        for number, message in enumerate(self._file.message_type):
            yield f"### {message.name}\n\n{self._comments[_MESSAGE, number]}\n"
            yield from self._fields(number, message)
        for number, enum in enumerate(self._file.enum_type):
            yield f"### {enum.name}\n\n{self._comments[_ENUM, number]}\n"
            yield from self._values(number, enum)

    def _fields(self, number: int, message: DescriptorProto) -> Iterator[str]:
        if not message.field:
            return
        maps = {nested.name: nested for nested in message.nested_type if nested.options.map_entry}
        yield "| field | type | meaning |\n|---|---|---|"
        for place, field in enumerate(message.field):
            meaning = _cell(self._comments[_MESSAGE, number, _FIELD, place])
            yield f"| `{field.name}` | {_type(field, maps)} | {meaning} |"
        yield ""

    def _values(self, number: int, enum: EnumDescriptorProto) -> Iterator[str]:
        yield "| value | number | meaning |\n|---|---|---|"
        for place, value in enumerate(enum.value):
            yield f"| `{value.name}` | {value.number} | {_cell(self._comments[_ENUM, number, _VALUE, place])} |"
        yield ""


def _call(method: MethodDescriptorProto, comment: str) -> str:
    asked = f"{'stream of ' if method.client_streaming else ''}{_link(method.input_type)}"
    told = f"{'stream of ' if method.server_streaming else ''}{_link(method.output_type)}"
    return f"| `{method.name}` | {asked} | {told} | {_cell(comment)} |"


def _type(field: FieldDescriptorProto, maps: Mapping[str, DescriptorProto]) -> str:
    name = field.type_name.rpartition(".")[2]
    if name in maps:
        key, value = maps[name].field
        return f"map of {_type(key, {})} to {_type(value, {})}"
    one = _link(field.type_name) if field.type_name else _SCALARS[field.type]
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        return f"list of {one}"
    return f"{one}, optional" if field.proto3_optional else one


def _link(full_name: str) -> str:
    name = full_name.rpartition(".")[2]
    return name if full_name.startswith(".google.") else f"[{name}](#{name.lower()})"


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("<", "&lt;")
