"""`make bench-report`: runs the speed and the failure suites and writes the page; takes hours, minutes with --short."""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from tests.bench.report.page import Measured, page
from tests.chaos import figures, recorded
from tests.system import ROOT

PACKAGES: Final = ("grpcio", "protobuf", "confluent-kafka", "pybreaker", "rectools-lightfm", "numpy", "uvloop")


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("var/bench-report"))
    parser.add_argument(
        "--short", action="store_true", help="the short forms of the failure suites, as make test has them"
    )
    parser.add_argument("--only", nargs="*", default=["tests/chaos"], help="tests, as pytest takes them")
    parser.add_argument("--speed", nargs="*", default=None, help="figures of make bench; without any: none")
    given = parser.parse_args()
    speed = None if given.speed == [] else [sys.executable, "-m", "tests.bench", *(given.speed or [])]
    faults = [sys.executable, "-m", "pytest", *([] if given.short else ["--long"]), *given.only]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = _lines(_output(speed)) if speed else []
        environ = {figures.FILE_VARIABLE: str(folder / "figures.jsonl"), recorded.FOLDER_VARIABLE: name}
        subprocess.run(faults, cwd=ROOT, env={**os.environ, **environ}, check=False)
        told = folder / "figures.jsonl"
        lines += _lines(told.read_text() if told.exists() else "")
        runs = recorded.kept(folder)
    commands = [" ".join(["python", *command[1:]]) for command in (speed, faults) if command]
    made = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    given.folder.mkdir(parents=True, exist_ok=True)
    target = given.folder / "index.html"
    target.write_text(page(Measured(made, _machine(), _versions(), commands, lines, runs)))
    print(target)  # where to look


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False).stdout


def _lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith('{"figure"')]


def _machine() -> dict[str, str]:
    cpu = next(
        (line.partition(":")[2].strip() for line in _read("/proc/cpuinfo") if line.startswith("model name")), "?"
    )
    memory = next((line.split()[1] for line in _read("/proc/meminfo") if line.startswith("MemTotal")), "0")
    return {
        "processor": f"{cpu}, {os.cpu_count()} cores, shared by callers and all processes",
        "memory": f"{int(memory) / 1e6:.0f} GB",
        "load before": " ".join(f"{each:.1f}" for each in os.getloadavg()),
        "system": f"{platform.system()} {platform.release()}",
    }


def _read(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def _versions() -> dict[str, str]:
    return {"Python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


if __name__ == "__main__":
    main()
