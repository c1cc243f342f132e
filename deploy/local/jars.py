"""The jars Kafka runs on: a pinned list, fetched once, verified, cached in one folder.

`maven/pom.xml` names what is wanted and `maven/jars.sha256` its whole resolved tree. The list is what is fetched, so
that no resolver is asked at run time: jgo 2.2 takes kafka-clients 3.8.0 for this tree (it reads log4j's own dependency
management as if it were ours) where Maven takes 4.1.0, which the broker needs.
"""

import hashlib
import importlib
import importlib.util
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import LocalServerError

_MAVEN_DIR = Path(__file__).parent / "maven"
POM = _MAVEN_DIR / "pom.xml"
LOCK = _MAVEN_DIR / "jars.sha256"
_MARKER = ".complete"
_PARALLEL_DOWNLOADS = 8
_DOWNLOAD_TIMEOUT_S = 60
_MAVEN_TIMEOUT_S = 600


@dataclass(frozen=True)
class Jar:
    """One pinned jar.

    Attributes:
        group: Maven group id.
        artifact: Maven artifact id.
        version: Exact version.
        sha256: Digest of the file, lower-case hex.
    """

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def filename(self) -> str:
        """The name Maven gives the file."""
        return f"{self.artifact}-{self.version}.jar"


def read_lock(path: Path = LOCK) -> tuple[Jar, ...]:
    """Reads the pinned list: lines of `sha256  group:artifact:version`."""
    rows = [line.split() for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return tuple(_jar(digest, *coordinates.split(":")) for digest, coordinates in rows)


def ensure_jars(libs: Path, say: Callable[[str], None] = print) -> Path:
    """Fetches the jars into `libs` unless they are there already, and verifies every digest.

    The folder appears in one rename once it is whole, so that a killed download leaves nothing half done.

    Args:
        libs: The folder to fill; may be shared between processes and runs.
        say: Told, once, that a download starts.

    Returns:
        `libs`.

    Raises:
        LocalServerError: No fetcher got them; the text gives each one's reason and what to install.
    """
    jars = read_lock()
    if _is_complete(libs, jars):
        return libs
    say(f"Fetching Kafka's {len(jars)} jars (43 MB, once) into {libs}")
    libs.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=libs.parent, prefix=".jars-") as scratch:
        fetched = _fetch(Path(scratch), jars)
        (fetched / _MARKER).write_text(_fingerprint(jars))
        _publish(fetched, libs, jars)
    return libs


def write_lock(path: Path = LOCK) -> int:
    """Resolves the pom with Maven and writes the pinned list anew.

    Returns:
        The number of jars.
    """
    with tempfile.TemporaryDirectory() as scratch:
        listing = Path(scratch) / "list.txt"
        _maven("dependency:list", f"-DoutputFile={listing}")
        _maven("dependency:copy-dependencies", f"-DoutputDirectory={scratch}")
        rows = [row.strip().split(":") for row in listing.read_text().splitlines() if ":jar:" in row]
        jars = [Jar(g, a, v, _sha256(Path(scratch) / f"{a}-{v}.jar")) for g, a, _, v, *_ in sorted(rows)]
    path.write_text("".join(f"{jar.sha256}  {jar.group}:{jar.artifact}:{jar.version}\n" for jar in jars))
    return len(jars)


def _jar(digest: str, group: str, artifact: str, version: str) -> Jar:
    return Jar(group, artifact, version, digest)


def _is_complete(libs: Path, jars: Iterable[Jar]) -> bool:
    marker = libs / _MARKER
    return (
        marker.is_file()
        and marker.read_text() == _fingerprint(jars)
        and all((libs / jar.filename).is_file() for jar in jars)
    )


def _fingerprint(jars: Iterable[Jar]) -> str:
    return hashlib.sha256("".join(jar.sha256 for jar in jars).encode()).hexdigest()


def _fetch(scratch: Path, jars: tuple[Jar, ...]) -> Path:
    """Tries each fetcher in turn and returns the first folder whose files all have the right digest."""
    reasons = []
    for name, fetch in (("jgo", _fetch_with_jgo), ("mvn", _fetch_with_maven)):
        folder = scratch / name
        folder.mkdir()
        try:
            fetch(folder, jars)
            _verify(folder, jars)
        except (LocalServerError, OSError, RuntimeError, AssertionError) as error:
            reasons.append(f"  {name}: {error}")
        else:
            return folder
    raise LocalServerError(
        "Kafka's jars cannot be had:\n" + "\n".join(reasons) + "\nGive the machine access to Maven Central with the "
        "extra `local` installed (jgo), or install Maven (Debian: apt-get install maven; macOS: brew install maven)."
    )


def _fetch_with_jgo(folder: Path, jars: tuple[Jar, ...]) -> None:
    # By name, so that this module (and `--help`) works without the extra `local`.
    if importlib.util.find_spec("jgo") is None:
        raise LocalServerError("not installed")
    maven = importlib.import_module("jgo.maven")
    context = maven.MavenContext(repo_cache=folder / ".repository", timeout=_DOWNLOAD_TIMEOUT_S)

    def download(jar: Jar) -> None:
        artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact()
        Path(artifact.resolve()).rename(folder / jar.filename)

    with ThreadPoolExecutor(_PARALLEL_DOWNLOADS) as pool:
        list(pool.map(download, jars))
    shutil.rmtree(folder / ".repository")


def _fetch_with_maven(folder: Path, _jars: tuple[Jar, ...]) -> None:
    _maven("dependency:copy-dependencies", f"-DoutputDirectory={folder}")


def _maven(goal: str, *options: str) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise LocalServerError("not installed")
    command = [maven, "-B", "-q", "-f", str(POM), goal, "-DincludeScope=runtime", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_MAVEN_TIMEOUT_S, check=False)  # noqa: S603
    if done.returncode != 0:
        raise LocalServerError(f"{goal} failed: {done.stdout[-500:]}{done.stderr[-500:]}")


def _verify(folder: Path, jars: Iterable[Jar]) -> None:
    for jar in jars:
        found = _sha256(folder / jar.filename)
        if found != jar.sha256:
            raise LocalServerError(f"{jar.filename} has sha256 {found}, not {jar.sha256} as pinned")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _publish(fetched: Path, libs: Path, jars: Iterable[Jar]) -> None:
    """Moves the finished folder into place; another process that was faster wins."""
    if libs.exists() and not _is_complete(libs, jars):
        shutil.rmtree(libs)
    try:
        fetched.rename(libs)
    except OSError:
        if not _is_complete(libs, jars):
            raise
