"""Bundles that nobody should publish: a good one, changed by who has no key, or signed by who has it and means ill.

An attack gets the files of a good bundle, by name, and changes them; or it acts on the folder that they are in.
"""

import io
import json
import os
import random
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeAlias

import faiss
import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from runtime.models.bundle_files import ARRAYS_FILE, INDEX_FILE, MANIFEST_FILE, SIGNATURE_FILE
from runtime.models.model_bundle import ARRAY_NAMES, ArrayInfo, ModelArrays
from tests.model_bundles import zipped

FILES: Final = (ARRAYS_FILE, INDEX_FILE, MANIFEST_FILE, SIGNATURE_FILE)
FLOATS: Final = ("user_factors", "item_factors", "item_prior", "history_factors", "feature_factors", "item_duration_s")
TEXTS: Final = ("user_ids", "video_ids", "features", "authors", "languages", "countries", "tags")
CODES: Final = ("seen_items", "history_items", "item_tags", "item_author", "item_language", "item_country")
OFFSETS: Final = ("seen_offsets", "history_offsets", "tag_offsets")
NO_COUNTS: Final = {"-1": -1, "2^53": 2**53, "2^64 - 1": 2**64 - 1, "2^64": 2**64, "10^400": 10**400}

Files: TypeAlias = dict[str, bytes]
Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Workshop:
    """What an attacker may have at hand.

    Args:
        key: The one that scorers trust; attacks by who has no key leave it alone.
        arrays: Those of the good bundle.
        other: The files of another good bundle.
        elsewhere: A folder beside the models.
        marker: What exists once code of a bundle was run.
    """

    key: Ed25519PrivateKey
    arrays: ModelArrays
    other: Files
    elsewhere: Path
    marker: Path

    def signed(self, files: Files, **changes: Any) -> Files:
        """The files with other fields in the manifest, signed; hashes and sizes are those of the files."""
        manifest: Json = json.loads(files[MANIFEST_FILE])
        manifest |= {"arrays_bytes": len(files[ARRAYS_FILE]), "arrays_sha256": sha256(files[ARRAYS_FILE]).hexdigest()}
        index = files[INDEX_FILE]
        manifest["index"] |= {"size_bytes": len(index), "sha256": sha256(index).hexdigest()}
        return self.stamped(files, json.dumps(manifest | changes).encode())

    def stamped(self, files: Files, text: bytes) -> Files:
        """The files with another manifest, signed as it is."""
        return {**files, MANIFEST_FILE: text, SIGNATURE_FILE: self.key.sign(text)}

    def with_arrays(self, files: Files, **changes: Any) -> Files:
        """The files with other arrays, stated in the manifest and signed."""
        named = {**self.arrays.named(), **changes}
        info = {name: ArrayInfo(np.shape(array), array.dtype.str) for name, array in named.items()}
        return self.signed({**files, ARRAYS_FILE: saved(named)}, arrays=msgspec.to_builtins(info))


Attack: TypeAlias = Callable[[random.Random, Workshop, Files], Files]
FolderAttack: TypeAlias = Callable[[Path, Workshop], None]


@dataclass(frozen=True, slots=True)
class Hostile:
    """One way to make a bundle bad: its files are changed, then the folder."""

    name: str
    attack: Attack = lambda _draw, _shop, files: files
    on_folder: FolderAttack = lambda _folder, _shop: None

    def write(self, folder: Path, seed: int, shop: Workshop, files: Files) -> None:
        """Writes the bad bundle."""
        folder.mkdir()
        for name, content in self.attack(random.Random(seed), shop, files).items():
            (folder / name).write_bytes(content)
        self.on_folder(folder, shop)


class RunsCode:
    """Unpickled, it makes a file."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self._marker,))


def attacks() -> list[Hostile]:
    """All of them; each runs with a seed of its own."""
    makers = (_without_a_key, _on_the_folder, _arrays, _tables, _archives, _manifests, _indexes)
    return [hostile for make in makers for hostile in make()]


def saved(named: Mapping[str, Any], save: Callable[..., None] = np.savez) -> bytes:
    buffer = io.BytesIO()
    save(buffer, **named)
    return buffer.getvalue()


def _without_a_key() -> Iterator[Hostile]:
    for name in FILES:
        for number in range(10):
            yield Hostile(f"flip {number} in {name}", _changing(name, _flipped))
        for number in range(3):
            yield Hostile(f"cut {number} of {name}", _changing(name, _cut))
        yield Hostile(f"more of {name}", _changing(name, lambda draw, each: each + draw.randbytes(100)))
        yield Hostile(f"noise for {name}", _changing(name, lambda draw, each: draw.randbytes(len(each))))
        yield Hostile(f"no {name}", on_folder=_instead(name, lambda _path: None))
        yield Hostile(f"{name} of another", _of_another(name))
    yield Hostile("another bundle under this name", lambda _draw, shop, _files: shop.other)
    yield Hostile("a foreign signature", _signed_by_a_stranger)
    yield Hostile("a manifest of 2 MB", _changing(MANIFEST_FILE, lambda _, each: each + b" " * (2 << 20)))
    yield Hostile("a field changed", _changing(MANIFEST_FILE, lambda _, each: each.replace(b'"seed": 1', b'"seed": 2')))


def _changing(name: str, change: Callable[[random.Random, bytes], bytes]) -> Attack:
    return lambda draw, _shop, files: {**files, name: change(draw, files[name])}


def _of_another(name: str) -> Attack:
    return lambda _draw, shop, files: {**files, name: shop.other[name]}


def _cut(draw: random.Random, content: bytes) -> bytes:
    return content[: draw.randrange(len(content))]


def _flipped(draw: random.Random, content: bytes) -> bytes:
    place = draw.randrange(len(content))
    return content[:place] + bytes([content[place] ^ (1 << draw.randrange(8))]) + content[place + 1 :]


def _signed_by_a_stranger(_draw: random.Random, _shop: Workshop, files: Files) -> Files:
    return {**files, SIGNATURE_FILE: Ed25519PrivateKey.generate().sign(files[MANIFEST_FILE])}


def _on_the_folder() -> Iterator[Hostile]:
    for name in FILES:
        yield Hostile(f"{name} behind a link", on_folder=_linked(name))
        yield Hostile(f"a pipe for {name}", on_folder=_instead(name, os.mkfifo))
        yield Hostile(
            f"zeros without end for {name}", on_folder=_instead(name, lambda path: path.symlink_to("/dev/zero"))
        )
        yield Hostile(f"a folder for {name}", on_folder=_instead(name, Path.mkdir))
    yield Hostile("all behind a link", on_folder=_moved_elsewhere)


def _linked(name: str) -> FolderAttack:
    def act(folder: Path, shop: Workshop) -> None:
        target = shop.elsewhere / f"{folder.name}-{name}"
        (folder / name).rename(target)
        (folder / name).symlink_to(target)

    return act


def _instead(name: str, make: Callable[[Path], Any]) -> FolderAttack:
    def act(folder: Path, _shop: Workshop) -> None:
        (folder / name).unlink()
        make(folder / name)

    return act


def _moved_elsewhere(folder: Path, shop: Workshop) -> None:
    folder.rename(shop.elsewhere / folder.name)
    folder.symlink_to(shop.elsewhere / folder.name)


def _arrays() -> Iterator[Hostile]:
    """Signed: numbers, types, lengths and places that cannot be."""
    for name in FLOATS:
        for value in (np.nan, np.inf, -np.inf, 3e38):
            yield Hostile(f"{value} in {name}", _altering(name, _once(value)))
    for name in ARRAY_NAMES:
        yield Hostile(f"{name} a row short", _altering(name, lambda _, array: array[:-1]))
        yield Hostile(f"{name} of another type", _altering(name, _of_another_type))
    for name in CODES:
        yield Hostile(f"{name} before its table", _altering(name, _once(-2)))
        yield Hostile(f"{name} behind its table", _altering(name, _once(2**31 - 1)))
    for name in OFFSETS:
        yield Hostile(f"{name} not from 0", _altering(name, lambda _, array: _set(array, 0, 1)))
        yield Hostile(f"{name} beyond the end", _altering(name, lambda _, array: _set(array, -1, 2**62)))
        yield Hostile(f"{name} backwards", _altering(name, lambda _, array: _set(array, len(array) // 2, -(2**62))))
    yield Hostile("no video is active", _altering("item_active", lambda _, array: np.zeros_like(array)))
    yield Hostile("a column more", _altering("user_factors", lambda _, array: np.pad(array, ((0, 0), (0, 1)))))


def _altering(name: str, alter: Callable[[random.Random, Any], Any]) -> Attack:
    return lambda draw, shop, files: shop.with_arrays(files, **{name: alter(draw, shop.arrays.named()[name])})


def _once(value: float) -> Callable[[random.Random, Any], Any]:
    return lambda draw, array: _set(array, draw.randrange(array.size), value)


def _set(array: Any, place: int, value: float) -> Any:
    changed = array.copy(order="C")
    changed.flat[place] = value
    return changed


def _of_another_type(_draw: random.Random, array: Any) -> Any:
    return array.astype("S8" if array.dtype.kind != "S" else "U")


def _tables() -> Iterator[Hostile]:
    """Signed: texts that are out of order, double or no texts."""
    for name in TEXTS:
        yield Hostile(f"{name} out of order", _altering(name, lambda _, table: table[::-1].copy()))
        yield Hostile(
            f"{name} twice", _altering(name, lambda _, table: np.sort(np.concatenate([table[1:], table[1:2]])))
        )
        yield Hostile(f"{name} not UTF-8", _altering(name, lambda _, table: _set(table, -1, b"\xf0\x9f")))  # type: ignore[arg-type]
        yield Hostile(f"{name} of two lines", _altering(name, lambda _, table: _set(table, -1, b"~\n")))  # type: ignore[arg-type]


def _archives() -> Iterator[Hostile]:
    """Signed: array files that run code, burst, or hold something else than they say."""
    for name in ("user_ids", "item_factors", "tags"):
        yield Hostile(f"a pickle as {name}", _pickled(name))
        yield Hostile(f"a pickle stated as what {name} is", _pickled_in_disguise(name))
    yield Hostile("compressed", _archive(lambda shop: saved(shop.arrays.named(), np.savez_compressed)))
    yield Hostile("a bomb of 200 MB", _archive(lambda _: zipped(lambda _name: bytes(10_000_000))))
    yield Hostile("names that lead elsewhere", _archive(_renamed))
    yield Hostile("one array many times", _archive(lambda shop: saved(shop.arrays.named()) * 8))
    yield Hostile("no archive", _archive(lambda _: b"\x93NUMPY"))
    yield Hostile("a header of 60 kB", _archive(_with_header(b"(" * 60_000)))
    yield Hostile("a deep header", _archive(_with_header(b"-" * 9_000 + b"1")))
    yield Hostile("a header that states 2**62 numbers", _archive(_with_header(_header_of((2**31, 2**31)))))
    for count in (2**31, 2**52):
        yield Hostile(f"{count} rows stated", _stated_rows(count))
    yield Hostile("arrays of 4 GB stated", lambda _draw, shop, files: shop.signed(files, arrays_bytes=4 << 30))


def _archive(make: Callable[[Workshop], bytes]) -> Attack:
    return lambda _draw, shop, files: shop.signed({**files, ARRAYS_FILE: make(shop)})


def _pickled(name: str) -> Attack:
    def attack(_draw: random.Random, shop: Workshop, files: Files) -> Files:
        return shop.with_arrays(files, **{name: np.array([RunsCode(shop.marker)], dtype=object)})

    return attack


def _pickled_in_disguise(name: str) -> Attack:
    return _archive(lambda shop: saved({**shop.arrays.named(), name: np.array([RunsCode(shop.marker)], dtype=object)}))


def _renamed(shop: Workshop) -> bytes:
    return saved({f"../../{name}": array for name, array in shop.arrays.named().items()})


def _with_header(header: bytes) -> Callable[[Workshop], bytes]:
    def make(shop: Workshop) -> bytes:
        content = saved(shop.arrays.named())
        begin = content.index(b"\x93NUMPY")
        (size,) = struct.unpack_from("<H", content, begin + 8)
        return content[: begin + 8] + struct.pack("<H", len(header)) + header + content[begin + 10 + size :]

    return make


def _header_of(shape: tuple[int, ...]) -> bytes:
    return f"{{'descr': '|S8', 'fortran_order': False, 'shape': {shape}, }}\n".encode()


def _stated_rows(count: int) -> Attack:
    def attack(_draw: random.Random, shop: Workshop, files: Files) -> Files:
        arrays = json.loads(files[MANIFEST_FILE])["arrays"]
        arrays["seen_items"]["shape"] = [count]
        return shop.signed(files, arrays=arrays)

    return attack


def _manifests() -> Iterator[Hostile]:
    """Signed: manifests with fields that are missing, wrong or without end."""
    for field in ("format_version", "model_version", "algorithm", "contract", "created_time", "dimensions", "params"):
        yield Hostile(f"no {field}", _without(field))
    for field in ("format_version", "dimensions", "seed", "arrays_bytes"):
        for said, value in NO_COUNTS.items():
            yield Hostile(f"{field} {said}", _stating_field(field, value))
    wrong: Json = {
        "algorithm": "a" * 100_000,
        "contract": "v1999.1",
        "created_time": "0001-01-01T00:00:00",
        "data_until": "yesterday",
        "metrics": {f"m{number}": 0.5 for number in range(10_000)},
        "model_version": "../../etc",
        "arrays": {},
        "arrays_sha256": "0" * 64,
        "unknown": 1,
    }
    for field, value in wrong.items():
        yield Hostile(f"a wrong {field}", _stating_field(field, value))
    for params in ({"history_length": "all"}, {"long_view_s": "long"}, {"history_length": -1}):
        yield Hostile(f"params {params}", _stating_field("params", params))
    for said, text in {"deep": b"[" * 500_000, "no text": b"\xff\xfe", "not a number": b'{"seed":NaN}'}.items():
        yield Hostile(f"a manifest: {said}", _stating(text))
    yield Hostile("deep params", _deep_params)


def _without(field: str) -> Attack:
    def attack(_draw: random.Random, shop: Workshop, files: Files) -> Files:
        manifest = json.loads(files[MANIFEST_FILE])
        del manifest[field]
        return shop.stamped(files, json.dumps(manifest).encode())

    return attack


def _stating(text: bytes) -> Attack:
    return lambda _draw, shop, files: shop.stamped(files, text)


def _stating_field(field: str, value: Any) -> Attack:
    return lambda _draw, shop, files: shop.signed(files, **{field: value})


def _deep_params(_draw: random.Random, shop: Workshop, files: Files) -> Files:
    deep = b'{"params":{"x":' + b"[" * 300_000 + b"]" * 300_000 + b"},"
    return shop.stamped(files, files[MANIFEST_FILE].replace(b"{", deep, 1))


def _indexes() -> Iterator[Hostile]:
    """Signed: indexes that are none, or of another model."""
    yield Hostile("an index that is noise", _indexing(lambda draw, each: draw.randbytes(len(each))))
    for number in range(5):
        yield Hostile(f"an index cut {number}", _indexing(_cut))
    yield Hostile("an index without end", _indexing(_with_endless_part))
    yield Hostile("an index of another width", _indexing(lambda _, _each: _made_index(8, 0)))
    for row in (-1, 2**40):
        yield Hostile(f"an index of video {row}", _wide_index(row))
    yield Hostile("an index of 4 GB stated", _stating_index(size_bytes=4 << 30))
    yield Hostile("an index that finds more than all", _stating_index(recall_at_50=1.5))


def _indexing(change: Callable[[random.Random, bytes], bytes]) -> Attack:
    return lambda draw, shop, files: shop.signed({**files, INDEX_FILE: change(draw, files[INDEX_FILE])})


def _with_endless_part(_draw: random.Random, content: bytes) -> bytes:
    """States that the first vector of numbers has 2^38 of them, 1 TB."""
    (place,) = [
        place for place in range(30, 200) if content[place : place + 8] == struct.pack("<q", _map_size(content))
    ]
    return content[:place] + struct.pack("<q", 2**38 - 1) + content[place + 8 :]


def _map_size(content: bytes) -> int:
    index: Any = faiss.deserialize_index(np.frombuffer(content, np.uint8))
    transform: Any = faiss.downcast_VectorTransform(index.chain.at(0))
    return int(transform.A.size())


def _wide_index(row: int) -> Attack:
    return lambda _draw, shop, files: shop.signed(
        {**files, INDEX_FILE: _made_index(shop.arrays.item_factors.shape[1], row)}
    )


def _made_index(columns: int, row: int) -> bytes:
    index = faiss.index_factory(columns, "IVF1,SQ8", faiss.METRIC_INNER_PRODUCT)
    vectors = np.eye(columns, dtype=np.float32)
    index.train(vectors)
    index.add_with_ids(vectors[:1], np.array([row]))
    return bytes(faiss.serialize_index(index).tobytes())


def _stating_index(**changes: Any) -> Attack:
    def attack(_draw: random.Random, shop: Workshop, files: Files) -> Files:
        index = json.loads(files[MANIFEST_FILE])["index"]
        return shop.signed(files, index={**index, **changes})

    return attack
