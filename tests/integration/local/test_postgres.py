"""The local PostgreSQL: a real one, started and stopped here."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from deploy.local.errors import LocalServerError
from deploy.local.postgres import LocalPostgres, find_binaries
from tests.polling import wait_for

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("postgres")


@pytest.fixture(scope="module")
def server(directory: Path) -> Iterator[LocalPostgres]:
    server = LocalPostgres(directory, parameters={"fsync": "off"})
    try:
        server.start()
    except LocalServerError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"needs a real server: {error}")
    yield server
    server.stop()


def test_data_outlives_a_restart_on_the_same_address(server: LocalPostgres) -> None:
    url = server.url
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    server.stop()
    with pytest.raises(LocalServerError, match="postgres is not running"):
        _ = server.pid
    server.start()
    assert server.url == url
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT answer, current_setting('fsync') FROM kept").fetchall() == [(42, "off")]


def test_nobody_gets_in_without_the_password(server: LocalPostgres) -> None:
    user = server.url.split("@")[1]
    for url in (f"postgresql://feed@{user}", f"postgresql://feed:guessed@{user}", f"postgresql://postgres@{user}"):
        with pytest.raises(psycopg.OperationalError, match=r"(?i)password"):
            psycopg.connect(url)


def test_the_password_is_for_the_owner_alone(server: LocalPostgres, directory: Path) -> None:
    assert server.is_running
    assert stat.S_IMODE((directory / "password").stat().st_mode) == 0o600
    assert {each.name for each in directory.iterdir()} == {"data", "password", "postgres.log", "postgres.pid"}


def test_it_listens_on_loopback_alone(server: LocalPostgres) -> None:
    with psycopg.connect(server.url) as connection:
        asked = "SELECT current_setting('listen_addresses'), current_setting('unix_socket_directories')"
        assert connection.execute(asked).fetchone() == ("127.0.0.1", "")


def test_a_server_that_cannot_start_says_why_with_the_end_of_its_log(tmp_path: Path) -> None:
    broken = LocalPostgres(tmp_path, parameters={"shared_buffers": "plenty"})
    with pytest.raises(LocalServerError, match=r"(?s)postgres ended with \d+; .*shared_buffers"):
        broken.start()


def test_a_version_that_is_not_installed_is_named() -> None:
    with pytest.raises(LocalServerError, match="PostgreSQL 9, which wrote this folder, is not installed"):
        find_binaries(9)


def command(directory: Path) -> list[str]:
    return [sys.executable, "-m", "deploy.local", "postgres", "--dir", str(directory)]


def ready_pid(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline().split("pid ")[1].split(",")[0])


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_folder_has_one_owner_and_a_killed_owner_s_server_is_taken_over(tmp_path: Path) -> None:
    with subprocess.Popen(command(tmp_path), stdout=subprocess.PIPE, text=True) as first:
        orphan = ready_pid(first)
        second = subprocess.run(command(tmp_path), capture_output=True, text=True, check=False, timeout=60)
        assert second.returncode == 1
        assert f"is running already, pid {orphan}, owned by process {first.pid}" in second.stderr
        first.kill()
    assert is_alive(orphan)
    with subprocess.Popen(command(tmp_path), stdout=subprocess.PIPE, text=True) as third:
        pid = ready_pid(third)
        assert pid != orphan
        wait_for(lambda: is_alive(orphan), lambda alive: not alive)
        third.send_signal(signal.SIGTERM)
        assert third.wait(30) == 0
    assert not is_alive(pid)
