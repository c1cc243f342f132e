"""Fallback lists on disk, so that a restart with every dependency down still has something to serve."""

import asyncio
import os
import zlib
from pathlib import Path
from typing import Annotated, Final

import msgspec

from bridge.ports import ListError, StoredT

VideoId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.:-]{1,128}$")]

_IDS: Final = msgspec.json.Decoder(list[VideoId])


class FileLists:
    """The port `ListStore` in a folder: `<name>.json`, a line with the checksum of the JSON that follows.

    Without the checksum a flipped bit could turn one video into another and still be a list.

    Args:
        folder: Made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def load(self, name: str, kind: type[StoredT]) -> StoredT | None:
        """Reads the list that was saved last; None when there is no file.

        Raises:
            ListError: When the file is unreadable, damaged or of another form.
        """
        return await asyncio.to_thread(_load, self._folder / f"{name}.json", kind)

    async def save(self, name: str, content: object) -> None:
        """Writes a list so that a reader, or a crash, sees the old file or the new one, whole.

        Raises:
            ListError: When it cannot be written.
        """
        await asyncio.to_thread(_save, self._folder / f"{name}.json", content)


def load_video_ids(path: Path) -> tuple[str, ...]:
    """Reads an operator's list: a JSON array of video ids, best first; repeated ones count once.

    Raises:
        ListError: When there is none, or it is something else.
    """
    try:
        return tuple(dict.fromkeys(_IDS.decode(path.read_bytes())))
    except (OSError, msgspec.DecodeError, ValueError) as error:
        raise ListError(f"{path.name}: {error}") from error


def _load(path: Path, kind: type[StoredT]) -> StoredT | None:
    try:
        checksum, _, encoded = path.read_bytes().partition(b"\n")
        if checksum != _checksum(encoded):
            raise ListError(f"{path.name}: damaged, or not written by this service")
        return msgspec.json.decode(encoded, type=kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, ValueError) as error:
        raise ListError(f"{path.name}: {error}") from error


def _save(path: Path, content: object) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    encoded = msgspec.json.encode(content)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(_checksum(encoded) + b"\n" + encoded)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise ListError(f"{path.name}: {error}") from error


def _checksum(encoded: bytes) -> bytes:
    return b"%08x" % zlib.crc32(encoded)
