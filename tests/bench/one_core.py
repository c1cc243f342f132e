"""Runs a measurement in a process of its own, whose libraries use one thread, as the scorer's do."""

import os
import subprocess
import sys
from pathlib import Path

from scorer.__main__ import BLAS_THREADS

ROOT = Path(__file__).parent.parent.parent


def run(module: str, *arguments: str) -> None:
    """Runs a module; it prints its own figures."""
    subprocess.run([sys.executable, "-m", module, *arguments], env=_environ(), cwd=ROOT, check=True)


def output_of(module: str, *arguments: str) -> str:
    """Runs a module; returns the last line that it prints."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, env=_environ(), cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.splitlines()[-1]


def _environ() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'protos'}", **dict.fromkeys(BLAS_THREADS, "1")}
