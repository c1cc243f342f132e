"""Fallback lists on disk, so that a restart with every dependency down still has something to serve."""

import os
from pathlib import Path
from typing import Annotated, Final, TypeVar

import msgspec

StoredT = TypeVar("StoredT")

VideoId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.:-]{1,128}$")]

_IDS: Final = msgspec.json.Decoder(list[VideoId])


class ListFileError(Exception):
    """A list file cannot be used. The operator's or the disk's fault; the last good list goes on serving."""


def load(path: Path, kind: type[StoredT]) -> StoredT | None:
    """Reads a list that `save` wrote; None when there is no file.

    Raises:
        ListFileError: When the file is unreadable, damaged or of another form.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, ValueError) as error:
        raise ListFileError(f"{path.name}: {error}") from error


def save(path: Path, content: object) -> None:
    """Writes a list so that a reader, or a crash, sees the old file or the new one, whole.

    Raises:
        ListFileError: When it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(msgspec.json.encode(content))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise ListFileError(f"{path.name}: {error}") from error


def load_video_ids(path: Path) -> tuple[str, ...]:
    """Reads an operator's list: a JSON array of video ids, best first; repeated ones count once.

    Raises:
        ListFileError: When there is none, or it is something else.
    """
    try:
        return tuple(dict.fromkeys(_IDS.decode(path.read_bytes())))
    except (OSError, msgspec.DecodeError, ValueError) as error:
        raise ListFileError(f"{path.name}: {error}") from error
