"""Commands that pages show, run as they stand: only ports and folders are those of the test's system."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.system import ROOT, System

TIMEOUT_S: Final = 60
# The ports that processes have by default, as pages show them.
_PORTS: Final = {
    "8080": ("http", "bridge"),
    "8081": ("http", "interactions"),
    "8090": ("http", "insights"),
    "50051": ("grpc", "bridge"),
    "50053": ("grpc", "interactions"),
}


def blocks(page: Path, heading: str = "") -> list[str]:
    """Returns the blocks of shell commands of a page, or of one of its parts, in order."""
    text = page.read_text("utf-8")
    if heading:
        part = re.search(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
        assert part is not None, f"{page.name} has no part {heading}"
        text = part[1]
    return re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def at_this_system(command: str, system: System) -> str:
    """Returns the command with the ports and the data directory of a system instead of the default ones."""
    for shown, (kind, name) in _PORTS.items():
        port = system.grpc_port(name) if kind == "grpc" else system.http_port(name)
        command = command.replace(f"localhost:{shown}", f"127.0.0.1:{port}")
    command = re.sub(r"(?<![\w/])var/", f"{system.folder}/", command)
    return command.replace(".venv/bin/feed", f"{sys.executable} -m deploy.cli")


def run(command: str, system: System) -> str:
    """Runs it in the project's folder as a user's shell would; returns what it printed."""
    done = subprocess.run(
        ["sh", "-c", at_this_system(command, system)],
        cwd=ROOT,
        env={**system.environ, **system.servers()},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout
