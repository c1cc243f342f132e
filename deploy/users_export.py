"""Writes everything the tables hold of a user into a zip: a file of lines for each table."""

import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from storage.database import reading, sync_engine
from storage.personal_data import rows_of

_ABOUT_FILE: Final = "about.json"


def export_user(url: str, user_id: str, path: Path, now: datetime) -> dict[str, int]:
    """Writes the file, whole or not at all; memory stays flat. Returns the rows by table.

    Args:
        url: Of the database.
        user_id: The user.
        path: The file, which only its owner may read.
        now: The time, UTC.

    Raises:
        SQLAlchemyError: When the database refuses or goes away.
        OSError: When the file cannot be written.
    """
    counts: dict[str, int] = {}
    engine = sync_engine(url)
    try:
        with _whole(path) as archive, reading(engine) as connection:
            for table, rows in groupby(rows_of(connection, user_id), itemgetter(0)):
                with archive.open(f"{table}.ndjson", "w", force_zip64=True) as file:
                    counts[table] = 0
                    for _, row in rows:
                        file.write(_line(row))
                        counts[table] += 1
            about = {"userId": user_id, "exportedAt": now, "rows": counts}
            archive.writestr(_ABOUT_FILE, _line(about))
    finally:
        engine.dispose()
    return counts


@contextmanager
def _whole(path: Path) -> Iterator[zipfile.ZipFile]:
    making = path.with_name(f".{path.name}.new")
    making.unlink(missing_ok=True)
    making.touch(mode=0o600)
    try:
        with zipfile.ZipFile(making, "w", zipfile.ZIP_DEFLATED) as archive:
            yield archive
        making.replace(path)
    finally:
        making.unlink(missing_ok=True)


def _line(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, default=_text, ensure_ascii=False).encode() + b"\n"


def _text(value: object) -> str:
    if isinstance(value, datetime | date):
        return value.isoformat()
    raise TypeError(type(value).__name__)
