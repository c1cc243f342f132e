"""What fills a new database, remembered so that a set-up that was killed goes on where it stopped."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path


class OtherDataError(Exception):
    """The data that was asked for is not what is there; the person takes another folder or drops the wish."""


@dataclass(frozen=True, slots=True)
class Filling:
    """The one-time step that fills a database.

    Args:
        command: Arguments of the `feed` command that does it; safe to repeat.
        finished: Whether it ended well.
    """

    command: tuple[str, ...]
    finished: bool


def next_step(path: Path, data: Path | None, now: datetime, has_data: Callable[[], bool]) -> tuple[str, ...] | None:
    """Returns the `feed` arguments to run before the system starts; None when the data is there.

    Args:
        path: Where the filling is remembered.
        data: Folder of the log that was asked for; None: any data will do, simulated if there is none.
        now: Wall time, aware; a simulated log ends here.
        has_data: Says whether the database holds videos.

    Raises:
        OtherDataError: When other data is there than was asked for.
    """
    wanted = ("import", "kuairand", str(data.resolve())) if data else None
    known = _read(path)
    if known is None:
        if has_data():
            _refuse(wanted, "the database holds data that was not put there by this command")
            return None
        known = Filling(wanted or ("seed", "--until", now.isoformat(timespec="seconds")), finished=False)
        _write(path, known)
    elif wanted not in (None, known.command):
        _refuse(wanted, f"{path.parent} was filled by: feed {' '.join(known.command)}")
    return None if known.finished and has_data() else known.command


def mark_finished(path: Path, command: tuple[str, ...]) -> None:
    """Remembers that the step ended well."""
    _write(path, Filling(command, finished=True))


def _refuse(wanted: tuple[str, ...] | None, found: str) -> None:
    if wanted:
        raise OtherDataError(f"{found}. For other data, name another folder (FEED_DATA_DIR=…) or remove this one.")


def _read(path: Path) -> Filling | None:
    if not path.exists():
        return None
    found = json.loads(path.read_text())
    return Filling(tuple(found["command"]), found["finished"])


def _write(path: Path, filling: Filling) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(asdict(filling)))
    temporary.replace(path)
