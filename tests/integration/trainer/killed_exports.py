"""Exports that are killed (SIGKILL), each at another step that it takes in its folder.

`python -m tests.integration.trainer.killed_exports FOLDER`: the export of the data directory FOLDER/<n> is killed just
before its nth step, for n = 1, 2 and so on until one ends by itself. FOLDER/base is what each starts from.
"""

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from runtime.settings import load
from trainer.app import training
from trainer.ports import SilentProgress
from trainer.settings import TrainerSettings

_STEPS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"}


def main(folder: Path) -> None:
    """Kills one export after the other."""
    point = 1
    while _status(folder, point) != 0:
        point += 1


def _status(folder: Path, point: int) -> int:
    data_dir = folder / str(point)
    shutil.copytree(folder / "base", data_dir)
    child = os.fork()
    if child == 0:
        _export(data_dir, folder / "feed.db", point)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and status != 0:
        raise SystemExit(f"the export ended with {status}")
    return status


def _export(data_dir: Path, database: Path, point: int) -> None:
    settings = load(TrainerSettings, {"FEED_DATA_DIR": str(data_dir), "FEED_DATABASE_URL": f"sqlite:///{database}"})
    steps = 0

    def kill_at_its_step(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal steps
        # What opens no file of the export is no step of it; the others name their files relative to a folder at times.
        if event not in _STEPS or (event == "open" and str(settings.export_dir) not in str(arguments[0])):
            return
        steps += 1
        if steps == point:
            os.kill(os.getpid(), signal.SIGKILL)

    with training(settings, SilentProgress()) as job:
        sys.addaudithook(kill_at_its_step)
        job.export_days()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
