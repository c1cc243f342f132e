"""Secrets that change without a restart: the newest signs, those before it still verify until they are dropped."""

import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import structlog

from runtime.secrets.files import replace_private
from runtime.secrets.signing import SECRET_BYTES, KeyFileError, load_or_create_secret, private_content

_LOG = structlog.get_logger(__name__)

# The newest and the one before it.
_MOST: Final = 2
# No host reads its file more often than this, in seconds.
_LOOK_S: Final = 1.0
# So long after it was seen a new secret only verifies, in seconds: whoever shares the file has it before anything is
# signed with it. Kubernetes takes up to two minutes to hand a changed secret to every host.
_SETTLE_S: Final = 120.0


class SecretRing:
    """The secrets in a file as they are now.

    Args:
        path: The file; made at first use.
        monotonic: The clock.

    Raises:
        KeyFileError: When it cannot be used now. Later the secrets before stay, and the log says so.
    """

    def __init__(self, path: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        if not path.exists():
            load_or_create_secret(path)
        self._path = path
        self._monotonic = monotonic
        self._looked = monotonic()
        self._found = self._secrets = read(path)
        self._changed = float("-inf")

    def secrets(self) -> Sequence[bytes]:
        """Returns them, the one to sign with first."""
        now = self._monotonic()
        if now - self._looked >= _LOOK_S:
            self._looked = now
            try:
                self._follow(read(self._path), now)
            except KeyFileError as error:
                _LOG.error("secret_ring.not_read", error=str(error))
        return self._secrets

    def _follow(self, found: Sequence[bytes], now: float) -> None:
        if found != self._found:
            self._found, self._changed = found, now
        signing = self._secrets[0]
        if signing in found and now - self._changed < _SETTLE_S:
            self._secrets = [signing, *(each for each in found if each != signing)]
        else:
            self._secrets = found


def read(path: Path) -> Sequence[bytes]:
    """Returns the secrets in a file.

    Raises:
        KeyFileError: When there are none, or others may read or change them.
    """
    content = private_content(path)
    if len(content) not in {SECRET_BYTES * count for count in range(1, _MOST + 1)}:
        raise KeyFileError(f"{path.name}: holds {len(content)} bytes, not {SECRET_BYTES} or {_MOST * SECRET_BYTES}")
    return [content[at : at + SECRET_BYTES] for at in range(0, len(content), SECRET_BYTES)]


def rotate(path: Path, *, keep: bool) -> None:
    """Puts a new secret first.

    Args:
        path: The file.
        keep: Whether what the one before it signed stays good.

    Raises:
        KeyFileError: When the one before it is to be kept, and cannot be read.
    """
    before = read(path)[: _MOST - 1] if keep and path.exists() else []
    replace_private(path, b"".join([secrets.token_bytes(SECRET_BYTES), *before]))
