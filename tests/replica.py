"""A streaming replica of a PostgreSQL of tests, made by `pg_basebackup`."""

import os
import shutil
import subprocess
from pathlib import Path

from deploy.local.postgres import LocalPostgres, find_binaries
from deploy.local.unprivileged import account_for


def replica_of(primary: LocalPostgres, password_file: Path, folder: Path) -> LocalPostgres:
    """Copies a running cluster; returns the replica, not started.

    Args:
        primary: What it follows.
        password_file: Holds the password of its role.
        folder: A new folder for the replica.
    """
    folder.mkdir()
    shutil.copy(password_file, folder / "password")
    bin_dir, data = find_binaries(), folder / "data"
    account = account_for(data, needs=(bin_dir, folder))
    account.make_private_dir(data)
    source = primary.url_of("postgres")
    options = ["--checkpoint=fast", "--wal-method=stream", "--write-recovery-conf"]
    command = [str(bin_dir / "pg_basebackup"), f"--dbname={source}", f"--pgdata={data}", *options]
    subprocess.run(
        [*account.prefix, *command],
        **account.identity,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
        check=True,
        capture_output=True,
        timeout=120,
    )
    return LocalPostgres(folder)
