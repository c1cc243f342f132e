"""API keys of simple services: made once, kept as hashes in a file, and read anew when it changes."""

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from runtime.access.rules import Caller
from runtime.errors import UnauthenticatedError
from runtime.secrets.files import replace_private, stamp_of

_LOG = structlog.get_logger(__name__)

# What a key begins with: nothing else that is sent as a bearer token does.
KEY_PREFIX: Final = "feedkey."
# A guess at 256 random bits is hopeless, so one round of SHA-256 keeps them as well as a slow hash would.
_SECRET_BYTES: Final = 32
# No host reads its file more often than this, in seconds.
_LOOK_S: Final = 1.0
_WRITABLE_BY_OTHERS: Final = 0o022
# Looked up for a key that is not there, so that it takes as long as one that is.
_NOBODY: Final = hashlib.sha256(secrets.token_bytes(_SECRET_BYTES)).hexdigest()


class ApiKeysError(Exception):
    """The file is unreadable, damaged or open to others; the text says what to do. The operator mends it."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is kept.

    Args:
        key_id: Its name.
        sha256: The secret's hash, in hex.
        scopes: What its holder may do.
    """

    key_id: str
    sha256: str
    scopes: tuple[str, ...]


def read(path: Path) -> dict[str, ApiKey]:
    """Returns the keys in a file, by their ids; none when there is no file.

    Raises:
        ApiKeysError: When it cannot be trusted or read.
    """
    try:
        if path.stat().st_mode & _WRITABLE_BY_OTHERS:
            raise ApiKeysError(f"{path.name}: others may write to it; chmod 600 it")
        keys = msgspec.json.decode(path.read_bytes(), type=list[ApiKey])
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ApiKeysError(f"{path.name}: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ApiKeysError(f"{path.name}: is no list of keys; `feed keys` writes it") from error
    return {key.key_id: key for key in keys}


def create(path: Path, key_id: str, scopes: Sequence[str]) -> str:
    """Makes a key and returns it: the only time that anybody sees it.

    Raises:
        ApiKeysError: When there is one of this name already.
    """
    keys = read(path)
    if key_id in keys:
        raise ApiKeysError(f"there is a key {key_id} already")
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    _write(path, {**keys, key_id: ApiKey(key_id, _hash(secret), tuple(scopes))})
    return f"{KEY_PREFIX}{key_id}.{secret}"


def remove(path: Path, key_id: str) -> bool:
    """Removes a key; tells whether there was one."""
    keys = read(path)
    if keys.pop(key_id, None) is None:
        return False
    _write(path, keys)
    return True


class ApiKeys:
    """The keys in a file as they are now.

    Args:
        path: The file; it may come later.
        monotonic: The clock.

    Raises:
        ApiKeysError: When it cannot be read now. Later the keys before stay, and the log says so.
    """

    def __init__(self, path: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._monotonic = monotonic
        self._looked = monotonic()
        self._stamp = stamp_of(path)
        self._keys: Mapping[str, ApiKey] = read(path)

    def caller(self, key: str) -> Caller | None:
        """Returns whose key it is; None: nobody's."""
        key_id, _, secret = key.removeprefix(KEY_PREFIX).partition(".")
        kept = self.find(key_id)
        if not hmac.compare_digest(_hash(secret), kept.sha256 if kept else _NOBODY) or kept is None:
            return None
        return Caller(f"key:{key_id}", "", frozenset(kept.scopes))

    def find(self, key_id: str) -> ApiKey | None:
        """Returns the key of a name; None: there is none, or no more."""
        self._follow()
        return self._keys.get(key_id)

    def _follow(self) -> None:
        now = self._monotonic()
        if now - self._looked < _LOOK_S:
            return
        self._looked = now
        stamp = stamp_of(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._keys = read(self._path)
        except ApiKeysError as error:
            _LOG.error("api_keys.not_read", error=str(error))


class KeyBearers:
    """The port `Authenticator` on API keys alone.

    Args:
        keys: They.
    """

    def __init__(self, keys: ApiKeys) -> None:
        self._keys = keys

    async def start(self) -> None:
        """Does nothing: the file is looked at when somebody comes."""

    async def stop(self) -> None:
        """Does nothing."""

    async def caller(self, token: str) -> Caller:
        """Returns whose key it is; raises UnauthenticatedError."""
        found = self._keys.caller(token)
        if found is None:
            raise UnauthenticatedError("TOKEN_INVALID", "the bearer token is not valid")
        return found


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _write(path: Path, keys: Mapping[str, ApiKey]) -> None:
    """Replaces the file whole, for its owner alone."""
    rows: list[dict[str, Any]] = [asdict(key) for key in keys.values()]
    replace_private(path, json.dumps(rows, indent=1).encode())
