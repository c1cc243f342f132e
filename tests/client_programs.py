"""The example programs in other languages: built and run by the commands that docs/clients/README.md shows."""

import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from tests.tools import ToolMissingError, go

ROOT: Final = Path(__file__).parent.parent
PAGE: Final = ROOT / "docs" / "clients" / "README.md"
LANGUAGES: Final = ("Python", "Go", "Node")
MIN_GO: Final = (1, 25)  # what its go.mod asks for
BUILD_TIMEOUT_S: Final = 600
RUN_TIMEOUT_S: Final = 60


class Workshop:
    """A folder with what the commands need of the project, so that nothing is built in the project itself.

    Args:
        folder: An empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        shutil.copytree(
            PAGE.parent, folder / "docs" / "clients", ignore=shutil.ignore_patterns("node_modules", "gen", "bin")
        )
        shutil.copytree(ROOT / "protos", folder / "protos", ignore=shutil.ignore_patterns("*.py*", "__pycache__"))
        self.build = cache(self._build)

    def run(self, language: str, ports: dict[str, int]) -> list[dict[str, Any]]:
        """Runs a program that was built; returns what it printed.

        Args:
            language: Its heading on the page.
            ports: The ports that take the place of those on the page.
        """
        command = commands(language)[1]
        for shown, port in ports.items():
            command = command.replace(f"localhost:{shown}", f"127.0.0.1:{port}")
        return [json.loads(line) for line in self._shell(command, RUN_TIMEOUT_S).splitlines()]

    def _build(self, language: str) -> None:
        if language == "Node" and not shutil.which("npm"):
            missing("needs npm: apt-get install npm")
        self._shell(commands(language)[0], BUILD_TIMEOUT_S)

    def _shell(self, command: str, timeout_s: float) -> str:
        done = subprocess.run(
            ["sh", "-ec", command],
            cwd=self._folder,
            env=_environ(),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        return done.stdout


def commands(language: str) -> list[str]:
    """Returns the blocks of commands of a language: what builds its program, and what runs it."""
    section = re.search(rf"^## {language}$(.*?)(?=^## |\Z)", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert section is not None, f"{PAGE} says nothing of {language}"
    return re.findall(r"^```sh\n(.*?)^```", section[1], re.MULTILINE | re.DOTALL)


def missing(reason: str) -> None:
    """What is needed and not there fails where CI is set, and else skips."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def _environ() -> dict[str, str]:
    """Without the project's own packages, and with the tools of its environment."""
    kept = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "GOROOT", "GOFLAGS"}}
    try:
        folders = [str(go(MIN_GO).parent)]
    except ToolMissingError as error:
        missing(str(error))
    folders += [str(Path(sys.executable).parent), os.environ["PATH"]]
    return {**kept, "PATH": os.pathsep.join(folders), "GOTOOLCHAIN": "local", "GOFLAGS": "-modcacherw -buildvcs=false"}
