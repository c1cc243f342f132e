"""Model bundles on disk: published whole or not at all, read only when every check holds.

`<models_dir>/<model_version>/` holds `arrays.npz`, `manifest.json` and `manifest.sig` (Ed25519 over the
manifest's bytes, which state the hash of the arrays); with many videos also `index.faiss`, whose hash the manifest
states as well. `<models_dir>/LIVE` names the version in use, `CANDIDATE` one that is tried
(`runtime.models.candidate_file`).
"""

import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from runtime.contract import CONTRACT_RELEASE
from runtime.models import bundle_arrays
from runtime.models.model_bundle import (
    FORMAT_VERSION,
    ArrayInfo,
    BundleError,
    BundleFault,
    IndexInfo,
    Manifest,
    ModelArrays,
    ModelBundle,
    check_arrays,
)
from runtime.secrets.signing import Verifier

ARRAYS_FILE: Final = "arrays.npz"
INDEX_FILE: Final = "index.faiss"
MANIFEST_FILE: Final = "manifest.json"
SIGNATURE_FILE: Final = "manifest.sig"
LIVE_FILE: Final = "LIVE"
# Empty, in the folder of a version: it has served.
SERVED_FILE: Final = "SERVED"

# Far above any manifest; read before anything of it is trusted.
MAX_MANIFEST_BYTES: Final = 1 << 20
SIGNATURE_BYTES: Final = 64
# 10 million rows of 64 dimensions: more than one process should hold.
MAX_ARRAYS_BYTES: Final = 4 << 30
# The same 10 million rows, a byte a dimension.
MAX_INDEX_BYTES: Final = 1 << 30
# Twice the longest version.
_MAX_POINTER_BYTES: Final = 128

# A link, a socket, a folder.
_NO_FILE: Final = frozenset({errno.ELOOP, errno.ENXIO, errno.EISDIR})

VERSION_PATTERN: Final = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
_VERSION: Final = re.compile(VERSION_PATTERN)


def publish(
    models_dir: Path, manifest: Manifest, arrays: ModelArrays, key: Ed25519PrivateKey, index: bytes | None = None
) -> ModelBundle:
    """Writes a bundle that appears whole under its version, or not at all.

    Args:
        models_dir: Where bundles live; made when missing.
        manifest: What is known of the model; shapes, size and hash are filled in here.
        arrays: The model; must keep every rule of the format.
        key: Signs it.
        index: The file of the index that the manifest tells of; None: it tells of none.

    Raises:
        BundleError: When an array or the manifest breaks a rule, or the index and the manifest do not agree.
        FileExistsError: When the version is there already.
    """
    check_arrays(arrays.named(), manifest.dimensions)
    content = bundle_arrays.pack(arrays)
    whole = msgspec.structs.replace(
        manifest,
        arrays={name: ArrayInfo(array.shape, array.dtype.str) for name, array in arrays.named().items()},
        arrays_bytes=len(content),
        arrays_sha256=hashlib.sha256(content).hexdigest(),
        index=_stated(manifest.index, index),
    )
    text = msgspec.json.format(msgspec.json.encode(whole, order="deterministic"))
    # What no scorer would take must not be there.
    _parsed(text)
    target = _folder(models_dir, manifest.model_version)
    if target.exists():
        raise FileExistsError(target.name)
    models_dir.mkdir(parents=True, exist_ok=True)
    temporary = models_dir / f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}"
    temporary.mkdir()
    try:
        _write(temporary / ARRAYS_FILE, content)
        if index is not None:
            _write(temporary / INDEX_FILE, index)
        _write(temporary / MANIFEST_FILE, text)
        _write(temporary / SIGNATURE_FILE, key.sign(text))
        _sync_folder(temporary)
        temporary.rename(target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    _sync_folder(models_dir)
    return ModelBundle(whole, arrays, index)


def read(models_dir: Path, model_version: str, key: Verifier) -> ModelBundle:
    """Reads a bundle, checking sizes, signature, hashes, shapes and values, in this order.

    The arrays are views of one block of memory and cannot be written to.

    Raises:
        BundleError: When any check fails; nothing of the bundle is then in use.
    """
    folder = _folder(models_dir, model_version)
    manifest = _read_manifest(folder, key)
    if manifest.model_version != model_version:
        raise BundleError(BundleFault.BAD_MANIFEST, f"{model_version} holds the model {manifest.model_version}")
    if manifest.arrays_bytes > min(bundle_arrays.most_bytes(manifest.arrays), MAX_ARRAYS_BYTES):
        raise BundleError(BundleFault.TOO_LARGE, f"{manifest.arrays_bytes} bytes are more than the arrays take")
    # The small one first: while it is missing, the large one is not read again and again.
    index = _read_index(folder, manifest.index)
    content = _read_signed(folder / ARRAYS_FILE, manifest.arrays_bytes, manifest.arrays_sha256)
    named = bundle_arrays.unpack(content, manifest.arrays)
    return ModelBundle(manifest, check_arrays(named, manifest.dimensions), index)


def read_manifest(models_dir: Path, model_version: str, key: Verifier) -> Manifest:
    """Reads the signed facts of a bundle without its arrays.

    Raises:
        BundleError: When they cannot be trusted.
    """
    return _read_manifest(_folder(models_dir, model_version), key)


def live_version(models_dir: Path) -> str | None:
    """Returns the version in use; None before the first promotion.

    Raises:
        BundleError: When the pointer holds something else than a version.
    """
    try:
        text = read_bounded(models_dir / LIVE_FILE, _MAX_POINTER_BYTES).decode("utf-8", "replace").strip()
    except BundleError as error:
        if error.fault is BundleFault.MISSING:
            return None
        raise
    _folder(models_dir, text)
    return text


def promote(models_dir: Path, model_version: str) -> None:
    """Makes a published version the one in use.

    Raises:
        BundleError: MISSING when there is no such version.
    """
    folder = _folder(models_dir, model_version)
    if not (folder / MANIFEST_FILE).is_file():
        raise BundleError(BundleFault.MISSING, f"no model {model_version}")
    (folder / SERVED_FILE).touch()
    replace_file(models_dir / LIVE_FILE, f"{model_version}\n".encode())


def has_served(models_dir: Path, model_version: str) -> bool:
    """Says whether a version was ever the one in use, as far as that was noted."""
    return (_folder(models_dir, model_version) / SERVED_FILE).is_file()


def replace_file(path: Path, content: bytes) -> None:
    """Writes a file that appears whole, in the place of the one before, and outlives a power cut."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    _write(temporary, content)
    temporary.replace(path)
    _sync_folder(path.parent)


def published_versions(models_dir: Path) -> list[str]:
    """Returns the versions on disk, sorted; half-written ones are not among them."""
    if not models_dir.is_dir():
        return []
    return sorted(each.parent.name for each in models_dir.glob(f"*/{MANIFEST_FILE}") if each.parent.name[0] != ".")


def remove(models_dir: Path, model_version: str) -> None:
    """Deletes a published version: first out of sight, then file by file."""
    folder = _folder(models_dir, model_version)
    doomed = models_dir / f".{folder.name}.removed.{secrets.token_hex(4)}"
    folder.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def remove_leftovers(models_dir: Path) -> list[str]:
    """Deletes the folders of processes that died while they published or deleted; returns their names.

    Nobody else may publish meanwhile: what is being written looks the same.
    """
    leftovers = sorted(each for each in models_dir.glob(".*") if each.is_dir() and not each.is_symlink())
    for each in leftovers:
        shutil.rmtree(each, ignore_errors=True)
    return [each.name for each in leftovers]


def _folder(models_dir: Path, model_version: str) -> Path:
    if not _VERSION.fullmatch(model_version):
        raise BundleError(BundleFault.BAD_MANIFEST, "a version is 1 to 64 characters of A-Z a-z 0-9 _ . -")
    return models_dir / model_version


def _read_manifest(folder: Path, key: Verifier) -> Manifest:
    if folder.is_symlink():
        raise BundleError(BundleFault.NOT_A_FILE, f"{folder.name} is a link")
    text = read_bounded(folder / MANIFEST_FILE, MAX_MANIFEST_BYTES)
    try:
        key.verify(read_bounded(folder / SIGNATURE_FILE, SIGNATURE_BYTES), text)
    except InvalidSignature as error:
        raise BundleError(BundleFault.BAD_SIGNATURE, "not signed with our key") from error
    return _parsed(text)


def _parsed(text: bytes) -> Manifest:
    try:
        manifest = msgspec.json.decode(text, type=Manifest)
    except ValueError as error:  # all that msgspec raises, and of a text that is not UTF-8
        raise BundleError(BundleFault.BAD_MANIFEST, str(error)) from error
    if manifest.format_version != FORMAT_VERSION:
        raise BundleError(BundleFault.BAD_MANIFEST, f"format {manifest.format_version}, not {FORMAT_VERSION}")
    if manifest.contract != CONTRACT_RELEASE:
        raise BundleError(BundleFault.OTHER_CONTRACT, f"made for {manifest.contract}, not {CONTRACT_RELEASE}")
    return manifest


def _stated(info: IndexInfo | None, index: bytes | None) -> IndexInfo | None:
    if info is None and index is None:
        return None
    if info is None or index is None:
        raise BundleError(BundleFault.BAD_INDEX, "an index and what the manifest says of it come together")
    return msgspec.structs.replace(info, size_bytes=len(index), sha256=hashlib.sha256(index).hexdigest())


def _read_index(folder: Path, info: IndexInfo | None) -> bytes | None:
    """Reads the index as it was signed. Only what passed this reaches the library that opens it."""
    if info is None:
        return None
    if info.size_bytes > MAX_INDEX_BYTES:
        raise BundleError(BundleFault.TOO_LARGE, f"an index of {info.size_bytes} bytes")
    return _read_signed(folder / INDEX_FILE, info.size_bytes, info.sha256)


def _read_signed(path: Path, size_bytes: int, digest: str) -> bytes:
    content = read_bounded(path, size_bytes)
    if len(content) != size_bytes or hashlib.sha256(content).hexdigest() != digest:
        raise BundleError(BundleFault.BAD_HASH, f"{path.name} is not the file that was signed")
    return content


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """Reads a file that is one, and not above a size: told before anything of it is read or room made for it.

    Raises:
        BundleError: MISSING, UNREADABLE, NOT_A_FILE or TOO_LARGE.
    """
    try:
        with open(path, "rb", opener=_opened) as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise BundleError(BundleFault.NOT_A_FILE, f"{path.name} is no regular file")
            if facts.st_size > max_bytes:
                raise BundleError(BundleFault.TOO_LARGE, f"{path.name} is above {max_bytes} bytes")
            return file.read(facts.st_size)
    except FileNotFoundError as error:
        raise BundleError(BundleFault.MISSING, f"no {path.name}") from error
    except OSError as error:
        fault = BundleFault.NOT_A_FILE if error.errno in _NO_FILE else BundleFault.UNREADABLE
        raise BundleError(fault, f"{path.name}: {error.strerror}") from error


def _opened(path: str, flags: int) -> int:
    """Opens a file; neither follows a link to somewhere else, nor waits for whoever writes to a pipe."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
