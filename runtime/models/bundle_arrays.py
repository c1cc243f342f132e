"""The arrays of a bundle as one file: an .npz, which NumPy opens like any other, read without NumPy's reader.

Nothing is unpacked, unpickled or copied. Each array lies in the file as it lies in memory, and what is read back are
views of the file's bytes, so that a scorer holds a model once, also while it loads it.
"""

import io
import math
import re
import struct
import zipfile
from collections.abc import Mapping
from typing import Final

import numpy as np

from runtime.models.model_bundle import ARRAY_NAMES, Array, ArrayInfo, BundleError, BundleFault, ModelArrays

# Numbers begin at a multiple of this many bytes in the file: products of unaligned ones take longer.
_ALIGNMENT: Final = 64
# The zip format's extra field that fills up to an alignment, as Android's zipalign writes it.
_ALIGNMENT_FIELD: Final = 0xD935
# What follows the name in front of an entry of any size: the field with the sizes as 64-bit numbers.
_SIZES_FIELD_BYTES: Final = 20

# What an .npy header, its padding and the zip directory may add to one array.
_ENTRY_OVERHEAD_BYTES: Final = 4096
_DTYPE: Final = re.compile(r"[<|][fib][1248]|\|S[1-9][0-9]{0,3}")

# APPNOTE.TXT 4.3.7: signature, method, and the lengths of name and extra fields.
_ZIP_HEADER: Final = struct.Struct("<4s4xH16xHH")
_ZIP_SIGNATURE: Final = b"PK\3\4"
# NEP 1: magic and version 1.0, and the length of the text that follows.
_NPY_HEADER: Final = struct.Struct("<8sH")
_NPY_MAGIC: Final = b"\x93NUMPY\1\0"


def pack(arrays: ModelArrays) -> bytes:
    """Returns the file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.named().items():
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.extra = _filling(buffer.tell() + _ZIP_HEADER.size + len(entry.filename) + _SIZES_FIELD_BYTES)
            with archive.open(entry, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    return buffer.getvalue()


def most_bytes(stated: Mapping[str, ArrayInfo]) -> int:
    """Returns how large a file with these arrays is at most.

    Raises:
        BundleError: BAD_ARRAYS when there are others than those of the format, or one has a dtype of another kind.
    """
    if set(stated) != set(ARRAY_NAMES):
        raise _bad("other arrays than those of the format")
    return sum(_array_bytes(name, info) + _ENTRY_OVERHEAD_BYTES for name, info in stated.items())


def unpack(content: bytes, stated: Mapping[str, ArrayInfo]) -> dict[str, Array]:
    """Returns the arrays: views of the file, which cannot be written to; copies of those that are not aligned.

    Args:
        content: The file.
        stated: All arrays of the format, as the manifest states them.

    Raises:
        BundleError: BAD_ARRAYS when the file holds anything else.
    """
    named, place = {}, 0
    try:
        for name in ARRAY_NAMES:
            view, place = _view(content, _entry(content, place, name), name, stated[name])
            named[name] = np.require(view, requirements="A")
    except (struct.error, TypeError, ValueError) as error:
        raise _bad("not a readable array file") from error
    return named


def _filling(place: int) -> bytes:
    """Returns the extra field after which numbers are aligned; an .npy header is so long that they stay so."""
    field = struct.Struct("<HHH")
    missing = -(place + field.size) % _ALIGNMENT
    return field.pack(_ALIGNMENT_FIELD, field.size - 4 + missing, _ALIGNMENT) + bytes(missing)


def _array_bytes(name: str, info: ArrayInfo) -> int:
    if not _DTYPE.fullmatch(info.dtype):
        raise _bad(f"{name} holds neither numbers nor bytes")
    return math.prod(info.shape) * np.dtype(info.dtype).itemsize


def _entry(content: bytes, place: int, name: str) -> int:
    """Returns where the entry's own bytes begin."""
    signature, method, name_bytes, extra_bytes = _ZIP_HEADER.unpack_from(content, place)
    begin = place + _ZIP_HEADER.size
    found = (signature, method, content[begin : begin + name_bytes])
    if found != (_ZIP_SIGNATURE, zipfile.ZIP_STORED, f"{name}.npy".encode()):
        raise _bad(f"{name} is not where it belongs, or compressed")
    return int(begin + name_bytes + extra_bytes)


def _view(content: bytes, place: int, name: str, info: ArrayInfo) -> tuple[Array, int]:
    """Returns the array and where it ends; its header may say only what the manifest states."""
    magic, text_bytes = _NPY_HEADER.unpack_from(content, place)
    begin = place + _NPY_HEADER.size
    text = content[begin : begin + text_bytes].rstrip()
    by_columns = text == _npy_text(info, by_columns=True)
    if magic != _NPY_MAGIC or not (by_columns or text == _npy_text(info, by_columns=False)):
        raise _bad(f"{name} is not what the manifest states")
    begin += text_bytes
    view: Array = np.ndarray(info.shape, info.dtype, content, begin, order="F" if by_columns else "C")
    return view, begin + view.nbytes


def _npy_text(info: ArrayInfo, *, by_columns: bool) -> bytes:
    return f"{{'descr': {info.dtype!r}, 'fortran_order': {by_columns}, 'shape': {info.shape!r}, }}".encode()


def _bad(message: str) -> BundleError:
    return BundleError(BundleFault.BAD_ARRAYS, message)
