"""Files that hold secrets: nobody but their user, and who he shares a group with, may read them."""

import contextlib
import os
import secrets
import stat
from pathlib import Path
from typing import Annotated, Final, TypeAlias, TypeVar

from pydantic import AfterValidator

# Others may do nothing and the group may not write. It may read: that is how Kubernetes hands a secret to a process
# that is not root (`fsGroup`).
_FORBIDDEN: Final = stat.S_IRWXO | stat.S_IWGRP

_Name = TypeVar("_Name", str, Path)


class SecretFileError(OSError):
    """A secret is open to others; the text says which and what to do. The operator mends it."""


def require_private(path: Path) -> None:
    """Raises SecretFileError when others may read or change a secret, OSError when it is not there."""
    if path.stat().st_mode & _FORBIDDEN:
        raise SecretFileError(f"{path.name}: others may read or change it; chmod 600 it")


def stamp_of(path: Path) -> tuple[int, ...]:
    """Returns what changes with a file, its mode included; empty: there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_size, found.st_mode


def replace_private(path: Path, content: bytes) -> None:
    """Puts a file in the place of the one before, whole and for its user alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _private(name: _Name) -> _Name:
    """What is not there yet is for its reader to miss."""
    if not str(name):
        return name
    with contextlib.suppress(FileNotFoundError):
        try:
            require_private(Path(name))
        except SecretFileError as error:
            raise ValueError(str(error)) from error
    return name


# Settings that name a file with a secret in it.
SecretFile: TypeAlias = Annotated[str, AfterValidator(_private)]
SecretPath: TypeAlias = Annotated[Path, AfterValidator(_private)]
