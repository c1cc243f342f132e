"""Checkov's policies, in an environment of its own: it wants other releases of what we use."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

from tests.system import ROOT

_PACKAGES: Final = ROOT / "tests/checkov.txt"
_TIMEOUT_S: Final = 300


def findings(path: Path, framework: str, exceptions: Iterable[str]) -> list[tuple[str, str]]:
    """Returns what is against a policy: the policy and where.

    Where it cannot be had, the test fails where CI is set, and else is skipped with the reason.

    Args:
        path: A file, or a folder.
        framework: What it is: `kubernetes` or `terraform`.
        exceptions: Policies that do not hold here.
    """
    uv = Path(sys.executable).with_name("uv")
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(uv), "tool", "run", "--constraints", str(_PACKAGES), "--from", "checkov", "checkov"]
    command += ["--directory" if path.is_dir() else "--file", str(path), "--framework", framework]
    command += ["--skip-check", ",".join(exceptions), "--skip-download", "--output", "json"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    if not done.stdout.startswith("{"):
        assert not os.environ.get("CI"), done.stderr
        pytest.skip(f"needs checkov: {done.stderr[-500:]}")
    report = json.loads(done.stdout)
    assert report["summary"]["passed"], "nothing was checked"
    return [(each["check_id"], each["resource"]) for each in report["results"]["failed_checks"]]
