"""PgBouncer in front of a PostgreSQL of tests: it lends its connections for a transaction each."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
import sqlalchemy as sa
from psycopg.rows import dict_row

from deploy.local.process import ServerProcess
from deploy.local.unprivileged import account_for
from tests.system import free_ports

# Older ones lose prepared statements (1.21), or do not know what empties a session of them (1.22).
OLDEST: Final = (1, 22)
READY_BOUND_S: Final = 30.0


class PgBouncer:
    """A running pooler.

    Args:
        url: Of the database, through it.
        log: What it says.
    """

    def __init__(self, url: sa.URL, log: Path) -> None:
        self._log = log
        self.url = url.render_as_string(hide_password=False)
        self._console = url.set(database="pgbouncer").render_as_string(hide_password=False)

    def show(self, what: str) -> list[dict[str, Any]]:
        """Asks it about itself, such as for `STATS`."""
        # It knows no transactions, and answers simple queries only.
        with psycopg.connect(self._console, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
            return connection.cursor(row_factory=dict_row).execute(f"SHOW {what}".encode()).fetchall()

    def log_lines(self) -> list[str]:
        """What it has said so far."""
        return self._log.read_text().splitlines()

    def answers(self) -> bool:
        try:
            return bool(self.show("VERSION"))
        except psycopg.OperationalError:
            return False


def needed() -> Path:
    """Where it is; without it the test fails where CI is set, and else is skipped with the reason."""
    found = shutil.which("pgbouncer")
    if found is None or _version(found) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        reason = f"needs PgBouncer {oldest} or later: sh deploy/install-debian.sh --tests installs it"
        assert not os.environ.get("CI"), reason
        pytest.skip(reason)
    return Path(found)


def _version(program: str) -> tuple[int, ...]:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"PgBouncer (\d+)\.(\d+)", said)
    assert found, said
    return tuple(map(int, found.groups()))


@contextmanager
def pgbouncer(folder: Path, database_url: str, settings: Mapping[str, str]) -> Iterator[PgBouncer]:
    """A pooler of transactions.

    Args:
        folder: Where its files go.
        database_url: What it leads to; its callers are asked for the same password.
        settings: More settings, such as `default_pool_size`.
    """
    program, url, port = needed(), sa.make_url(database_url), next(free_ports())
    made = {
        "listen_addr": "127.0.0.1",
        "listen_port": str(port),
        "unix_socket_dir": "",
        "pool_mode": "transaction",
        "max_prepared_statements": "200",
        "auth_type": "scram-sha-256",
        "auth_file": str(folder / "userlist.txt"),
        "admin_users": url.username,
        **settings,
    }
    account = account_for(folder / "none", needs=(folder, program.parent))
    account.write_private_file(folder / "userlist.txt", f'"{url.username}" "{url.password}"\n')
    lines = [f"{name} = {value}" for name, value in made.items()]
    text = "\n".join(["[databases]", f"* = host={url.host} port={url.port}", "[pgbouncer]", *lines, ""])
    account.write_private_file(folder / "pgbouncer.ini", text)
    server = ServerProcess("pgbouncer", folder)
    server.launch([*account.prefix, str(program), str(folder / "pgbouncer.ini")], identity=account.identity)
    try:
        running = PgBouncer(url.set(port=port), server.log_path)
        server.wait_until(running.answers, READY_BOUND_S)
        yield running
    finally:
        server.stop()
