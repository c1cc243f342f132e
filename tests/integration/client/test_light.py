"""Who tracks imports no server."""

import json
import subprocess
import sys

import pytest

from tests.system import ROOT

PROGRAM = """
import json, sys
from interactions.client import Tracker
Tracker({target!r}).close()
print(json.dumps(sorted(sys.modules)))
"""
GRPC = {"grpc", "google", "feed", "buf"}
# What grpc imports by itself where it is installed.
WITH_GRPC = {"cython_runtime", "grpc_health", "grpc_reflection", "grpc_status", "grpc_tools", "typing_extensions"}


@pytest.mark.parametrize(
    ("target", "allowed"),
    [
        pytest.param("http://127.0.0.1:1", {"interactions"}, id="REST is the standard library"),
        pytest.param("127.0.0.1:1", {"interactions", *GRPC}, id="gRPC and the contract's messages"),
    ],
)
def test_nothing_is_imported_that_is_not_needed(target: str, allowed: set[str]) -> None:
    """Issue 5, "Client": a service that tracks must not pay for a server's packages."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(target=target)],
        cwd=ROOT,
        env={"PATH": "", "PYTHONPATH": f"{ROOT}:{ROOT / 'protos'}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    modules = json.loads(done.stdout)
    foreign = {name.partition(".")[0] for name in modules} - sys.stdlib_module_names - {"__main__"}
    ours = {name for name in modules if name.startswith("interactions.") and not name.startswith("interactions.client")}
    assert {name for name in foreign if not name.startswith("_")} - allowed - WITH_GRPC == set()
    assert ours == set()
