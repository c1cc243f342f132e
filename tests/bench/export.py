"""What an export needs in memory: a day of ten million interactions against a day of a million.

`python -m tests.bench export`; it takes some ten minutes and 6 GB of disk, so it is in no default run.
"""

import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from runtime.settings import load
from storage.database import upgrade
from tests.bench import figures
from trainer.app import training
from trainer.ports import SilentProgress
from trainer.settings import TrainerSettings

FEW: Final = 1_000_000
MANY: Final = 10_000_000
USERS: Final = 200_000
VIDEOS: Final = 50_000
AT_MOST: Final = 1.1
MB: Final = 1e6

# All in one day, users and videos all over it; every tenth is a view told again, 1 % of the videos are unknown.
_ROWS: Final = """
WITH RECURSIVE
  number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n + 1 < :rows),
  told (n, user, video, s) AS (
    SELECT n, (n - (n % 10 = 9)) * 7919 % :users, (n - (n % 10 = 9)) * 104729 % (:videos + :videos / 100),
      1756684800 + n * 86400.0 / :rows
    FROM number
  )
INSERT INTO user_interactions (
  event_id, user_id, video_id, interaction_type, watch_time_s, event_time, ingest_time, feed_session_id,
  recommendation_id, position, algorithm, model_version, recommendation_score, experiments
)
SELECT
  printf('00000000-0000-4000-8000-%012d', n), 'u' || user, 'v' || video,
  CASE n % 10 WHEN 0 THEN 'LIKE' WHEN 1 THEN 'SKIP' ELSE 'VIEW' END, n % 600 / 10.0,
  strftime('%Y-%m-%d %H:%M:%f', s, 'unixepoch') || '000', strftime('%Y-%m-%d %H:%M:%f', s + 0.2, 'unixepoch') || '000',
  printf('session-%012d', user), printf('recommendation-%012d', n / 20), n % 20 + 1, 'lightfm-warp',
  '20250901T020000000-abcd', n % 1000 / 1000.0,
  CASE n % 2 WHEN 0 THEN '[{"experiment":"ranker","variant":"b"}]' END
FROM told
"""
_USERS: Final = """
WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n + 1 < :rows)
INSERT INTO users (user_id, features, personalised) SELECT 'u' || n, '{}', 1 FROM number
"""
_VIDEOS: Final = """
WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n + 1 < :rows)
INSERT INTO videos (video_id, tags, is_active) SELECT 'v' || n, '[]', 1 FROM number
"""


def figure(folder: Path) -> None:
    """Exports both days and reads them back, each in a process of its own."""
    few, many = (_measured(folder / str(rows), rows) for rows in (FEW, MANY))
    figures.ratio(
        "export",
        f"peak memory of an export of {MANY:,} rows of one day, against {FEW:,}",
        "MB",
        [(many["export_mb"], few["export_mb"])],
        at_most=AT_MOST,
        rows_a_second=MANY / many["export_s"],
        bytes_a_row_on_disk=many["disk_bytes"] / many["log_rows"],
        reading_mb=many["read_mb"],
        reading_mb_of_few=few["read_mb"],
        bytes_a_row_read=(many["read_mb"] - few["read_mb"]) * MB / (many["log_rows"] - few["log_rows"]),
    )


def _measured(folder: Path, rows: int) -> dict[str, float]:
    folder.mkdir(parents=True)
    _fill(folder / "feed.db", rows)
    found = _in_a_process(folder, "export") | _in_a_process(folder, "read")
    (folder / "feed.db").unlink()
    return found


def _fill(path: Path, rows: int) -> None:
    upgrade(f"sqlite:///{path}")
    connection = sqlite3.connect(path, isolation_level=None)
    # Nobody misses these rows: no log of them, and none of the indexes that an export does not use.
    for setting in ("journal_mode = DELETE", "journal_mode = OFF", "synchronous = OFF"):
        connection.execute(f"PRAGMA {setting}")
    indexes = "SELECT name FROM sqlite_master WHERE tbl_name = 'user_interactions' AND type = 'index' AND sql NOT NULL"
    for (name,) in connection.execute(indexes).fetchall():
        if name != "ix_user_interactions_event_time":
            connection.execute(f"DROP INDEX {name}")
    connection.execute(_USERS, {"rows": USERS})
    connection.execute(_VIDEOS, {"rows": VIDEOS})
    connection.execute(_ROWS, {"rows": rows, "users": USERS, "videos": VIDEOS})
    connection.close()


def _in_a_process(folder: Path, what: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.export", what],
        env={**os.environ, "FEED_DATA_DIR": str(folder)},
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main(what: str) -> None:
    """Exports or reads the export of the data directory; prints what it took."""
    with training(load(TrainerSettings, os.environ), SilentProgress()) as job:
        start = time.monotonic()
        more = _export(job) if what == "export" else {"log_rows": len(job.export.read())}
        print(json.dumps({f"{what}_s": time.monotonic() - start, f"{what}_mb": _peak_mb(), **more}))


def _export(job: Any) -> dict[str, float]:
    job.export_days()
    (day,) = job.export.manifest().days.values()
    return {"disk_bytes": sum(file.bytes for file in day.files)}


def _peak_mb() -> float:
    (peak,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(peak.split()[1]) * 1024 / MB


if __name__ == "__main__":
    main(sys.argv[1])
