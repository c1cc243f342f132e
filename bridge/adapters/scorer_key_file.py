"""What the bridge shows scorers that ask who it is: a bearer token in a file, read again as it changes."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

import structlog

from runtime.access.guard import AUTHORIZATION
from runtime.secrets.files import SecretFileError, require_private

_LOG = structlog.get_logger(__name__)

Metadata: TypeAlias = tuple[tuple[str, str], ...]

# How old what was read may be, in seconds.
_FRESH_S: Final = 5.0


class ScorerKeyFile:
    """The token in a file as metadata of a call.

    Args:
        path: The file.
        monotonic: The clock.
    """

    def __init__(self, path: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._monotonic = monotonic
        self._read_at = float("-inf")
        self._metadata: Metadata = ()

    def metadata(self) -> Metadata:
        """Returns it; as it was before while the file cannot be read."""
        now = self._monotonic()
        if now - self._read_at >= _FRESH_S:
            self._read_at = now
            try:
                require_private(self._path)
                token = self._path.read_text(encoding="ascii").strip()
                self._metadata = ((AUTHORIZATION, f"Bearer {token}"),)
            except SecretFileError as error:
                _LOG.error("bridge.scorer_key_not_read", error=str(error))
            except (OSError, UnicodeDecodeError) as error:
                _LOG.error("bridge.scorer_key_not_read", error=type(error).__name__)
        return self._metadata


def no_metadata() -> Metadata:
    """Returns what is shown to scorers that ask nobody."""
    return ()
