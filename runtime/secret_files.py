"""Files that hold secrets: nobody but their user, and who he shares a group with, may read them."""

import stat
from pathlib import Path
from typing import Final

# Others may do nothing and the group may not write. It may read: that is how Kubernetes hands a secret to a process
# that is not root (`fsGroup`).
_FORBIDDEN: Final = stat.S_IRWXO | stat.S_IWGRP


class SecretFileError(Exception):
    """A secret is open to others or cannot be read; the text says which and what to do. The operator mends it."""


def require_private(path: Path) -> None:
    """Raises SecretFileError when others may read or change a secret, or when it is not there."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise SecretFileError(f"{path.name}: {error.strerror}") from error
    if mode & _FORBIDDEN:
        raise SecretFileError(f"{path.name}: others may read or change it; chmod 600 it")
