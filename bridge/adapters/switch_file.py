"""The operators' switch as a small file, so that it holds over restarts and for all workers of a folder."""

import os
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from bridge.domain.switch import Switch
from bridge.ports import SwitchError, SwitchVersion

FILE_NAME: Final = "breaker.json"


class SwitchFile:
    """The port `SwitchStore` in a file.

    Args:
        folder: The bridge's; made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME

    def version(self) -> SwitchVersion:
        """Returns which content it has now.

        Raises:
            SwitchError: When the disk does not say.
        """
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SwitchError(f"{self._path}: {error.strerror}") from error
        return found.st_ino, found.st_mtime_ns, found.st_size

    def read(self) -> Switch:
        """Returns what is set; without a file nothing is.

        Raises:
            SwitchError: When it is unreadable or not a switch.
        """
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Switch)
        except FileNotFoundError:
            return Switch()
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise SwitchError(f"{self._path}: {error}") from error

    def write(self, switch: Switch) -> None:
        """Writes it so that a reader sees the old file or the new one, whole.

        Raises:
            SwitchError: When it cannot be written.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._path.parent, prefix=".breaker-", delete=False) as made:
                made.write(msgspec.json.encode(switch))
                made.flush()
                os.fsync(made.fileno())
            Path(made.name).replace(self._path)
        except OSError as error:
            raise SwitchError(f"{self._path}: {error.strerror}") from error
