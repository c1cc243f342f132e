"""One of a kind at a time on a data directory."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class AlreadyRunningError(Exception):
    """Another process holds the lock; wait for it."""


@contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Holds a lock that the system takes back when the process ends, however it ends.

    Args:
        path: The file that is locked; made when missing.
        what: Of what there may be one, for the error.

    Raises:
        AlreadyRunningError: When another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunningError(f"another {what} is running") from error
        yield
