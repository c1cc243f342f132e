"""One training at a time on a data directory."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class AlreadyRunningError(Exception):
    """Another training runs on the same data directory; wait for it."""


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Holds a lock that the system takes back when the process ends, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunningError("another training is running") from error
        yield
