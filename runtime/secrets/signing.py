"""Keys on disk: Ed25519 for model bundles, a shared secret for tokens."""

import contextlib
import os
import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from runtime.secrets.files import SecretFileError, require_private

SECRET_BYTES = 32
_PEM: Final = re.compile(rb"-----BEGIN [^-]+-----.+?-----END [^-]+-----\s*", re.DOTALL)


class KeyFileError(Exception):
    """A key file is missing, unreadable or of another kind; the operator restores it."""


def load_or_create_private_key(path: Path) -> Ed25519PrivateKey:
    """Returns the signing key at `path`, making it (mode 0600) and its public half (`.pub`) at first use."""
    if not path.exists():
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _create(path, pem)
    loaded = load_pem_private_key(private_content(path), password=None)
    if not isinstance(loaded, Ed25519PrivateKey):
        raise KeyFileError(f"{path.name}: not an Ed25519 private key")
    public = loaded.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    if not path.with_suffix(".pub").exists():
        _create(path.with_suffix(".pub"), public)
    return loaded


class Verifier(Protocol):
    """Says whether something was signed with our key."""

    def verify(self, signature: bytes, data: bytes) -> None:
        """Raises InvalidSignature when it was not."""


class PublicKeys:
    """The port `Verifier` on several keys: while a signing key is replaced, two are good.

    Args:
        keys: At least one.
    """

    def __init__(self, keys: Sequence[Ed25519PublicKey]) -> None:
        self._keys = tuple(keys)

    def verify(self, signature: bytes, data: bytes) -> None:
        """Raises InvalidSignature when none of them is that of who signed."""
        *others, last = self._keys
        for key in others:
            with contextlib.suppress(InvalidSignature):
                key.verify(signature, data)
                return
        last.verify(signature, data)


def load_public_key(path: Path) -> Verifier:
    """Returns the verifying key at `path`, or keys, one after the other.

    Raises:
        KeyFileError: When there is none.
    """
    try:
        loaded = [load_pem_public_key(pem) for pem in _PEM.findall(path.read_bytes())]
    except (OSError, ValueError) as error:
        raise KeyFileError(f"{path.name}: no readable public key") from error
    keys = [key for key in loaded if isinstance(key, Ed25519PublicKey)]
    if not loaded:
        raise KeyFileError(f"{path.name}: no readable public key")
    if len(keys) < len(loaded):
        raise KeyFileError(f"{path.name}: not an Ed25519 public key")
    return PublicKeys(keys)


def load_or_create_secret(path: Path) -> bytes:
    """Returns the secret at `path`, 32 random bytes made (mode 0600) at first use."""
    if not path.exists():
        _create(path, secrets.token_bytes(SECRET_BYTES))
    secret = private_content(path)
    if len(secret) != SECRET_BYTES:
        raise KeyFileError(f"{path.name}: holds {len(secret)} bytes, not {SECRET_BYTES}")
    return secret


def private_content(path: Path) -> bytes:
    """Returns what a secret file holds; raises KeyFileError when it cannot be read, or others can."""
    try:
        require_private(path)
        return path.read_bytes()
    except SecretFileError as error:
        raise KeyFileError(str(error)) from error
    except OSError as error:
        raise KeyFileError(f"{path.name}: {error.strerror}") from error


def _create(path: Path, content: bytes) -> None:
    """Writes a new file that appears whole, or keeps the one another process made first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        os.fsync(file.fileno())
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
