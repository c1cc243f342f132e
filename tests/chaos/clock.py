"""A wall clock that a test sets forwards and back, in the processes that it chooses."""

import os
import shutil
import struct
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

SOURCE: Final = Path(__file__).with_name("clock_step.c")
HOUR_S: Final = 3_600


class SteppedClock:
    """The wall clock of the processes that are started with its `environ`.

    Args:
        folder: Where its library and its offset go.
    """

    def __init__(self, folder: Path) -> None:
        self._offset = folder / "clock-step"
        self._library = folder / "clock_step.so"
        self._offset.write_bytes(struct.pack("=q", 0))
        self._steps = [(time.time(), 0)]
        _compile(self._library)

    @property
    def environ(self) -> Mapping[str, str]:
        """What a process needs to follow it."""
        return {"LD_PRELOAD": str(self._library), "CLOCK_STEP_FILE": str(self._offset)}

    def set_ahead(self, seconds: int) -> float:
        """Sets it so far before the true one, negative: behind; returns when that was, in monotonic seconds."""
        self._steps.append((time.time(), seconds))
        with self._offset.open("r+b") as file:
            os.pwrite(file.fileno(), struct.pack("=q", seconds * 1_000_000_000), 0)
        return time.monotonic()

    def true_time(self, wall_time: float) -> float:
        """Returns the true time of what happened when the clock said `wall_time`; both in Unix seconds.

        Steps are of hours and tests of minutes, so that one step alone fits.
        """
        ends = [*(start for start, _ in self._steps[1:]), float("inf")]
        for (start, ahead), end in zip(self._steps, ends, strict=True):
            if start <= wall_time - ahead < end:
                return wall_time - ahead
        raise AssertionError(f"the clock never said {wall_time}")


def _compile(library: Path) -> None:
    """A C compiler is a need of the set-up (LightFM), so that only a machine that was set up elsewhere lacks it."""
    compiler = shutil.which("cc")
    if compiler is None:
        if os.environ.get("CI"):
            raise AssertionError("there is no C compiler")
        pytest.skip("needs a C compiler")
    command = [compiler, "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
