"""`feed fake-scorer` and `feed fake-bridge` as a user starts them."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from feed.scoring.v1 import scoring_pb2 as pb
from feed.scoring.v1 import scoring_pb2_grpc
from tests.commands import bare_environ
from tests.http import call_now
from tests.polling import wait_for
from tests.system import ROOT, free_ports

BOOT_BOUND_S = 60.0
COMMAND = (sys.executable, "-m", "deploy.cli")
ENVIRON = bare_environ()


class Running:
    """A fake that runs; `.grpc_port`, `.http_port`."""

    def __init__(self, process: subprocess.Popen[str], grpc_port: int, http_port: int) -> None:
        self.process = process
        self.grpc_port = grpc_port
        self.http_port = http_port

    def ready(self) -> bool:
        assert self.process.poll() is None, "it ended"
        try:
            return call_now(self.http_port, "GET", "/readyz").status == 200
        except OSError:
            return False

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)


@contextmanager
def running(name: str, *arguments: str) -> Iterator[Running]:
    grpc_port, http_port, *_ = (port for port, _ in zip(free_ports(), range(2), strict=False))
    ports = ("--port", str(grpc_port), "--http-port", str(http_port))
    with subprocess.Popen([*COMMAND, name, *ports, *arguments], cwd=ROOT, env=ENVIRON, text=True) as process:
        fake = Running(process, grpc_port, http_port)
        try:
            wait_for(fake.ready, bool, BOOT_BOUND_S)
            yield fake
        finally:
            process.kill()


def ended(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, name, *arguments],
        cwd=ROOT,
        env=ENVIRON,
        capture_output=True,
        text=True,
        timeout=BOOT_BOUND_S,
        check=False,
    )


def script(tmp_path: Path, text: str) -> str:
    path = tmp_path / "script.toml"
    path.write_text(text)
    return str(path)


def test_the_scorer_plays_its_script(tmp_path: Path) -> None:
    with running("fake-scorer", "--script", script(tmp_path, "acts = [{}, { reset = true }]")) as fake:
        with grpc.insecure_channel(f"127.0.0.1:{fake.grpc_port}", options=(("grpc.enable_retries", 0),)) as channel:
            stub = scoring_pb2_grpc.ScoringServiceStub(channel)
            assert len(stub.Rank(pb.RankRequest(user_id="u1", k=3), timeout=5).video_ids) == 3
            with pytest.raises(grpc.RpcError) as caught:
                stub.Rank(pb.RankRequest(user_id="u1", k=3), timeout=5)
        assert isinstance(caught.value, grpc.Call)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert call_now(fake.http_port, "GET", "/calls").json["rankedByAct"] == {"rank": 1, "reset": 1}
        assert fake.stop() == 0


def test_a_later_script_may_cut_connections_with_the_relay_alone() -> None:
    for arguments, status in (((), 400), (("--relay",), 200)):
        with running("fake-scorer", *arguments) as fake:
            assert call_now(fake.http_port, "PUT", "/script", b"acts = [{ half = true }]").status == status


def test_grpcurl_finds_its_way(tmp_path: Path) -> None:
    grpcurl = shutil.which("grpcurl", path=f"{os.environ['PATH']}:{Path.home() / 'go/bin'}")
    if grpcurl is None:
        pytest.skip("needs grpcurl")
    with running("fake-scorer", "--script", script(tmp_path, "acts = [{ stale_model = true }]")) as fake:
        method = "feed.scoring.v1.ScoringService/Rank"
        asked = ["-plaintext", "-d", '{"user_id": "u1", "k": 2}', f"127.0.0.1:{fake.grpc_port}", method]
        answer = subprocess.run([grpcurl, *asked], capture_output=True, check=True, timeout=30)
    assert json.loads(answer.stdout)["model_version"] == "fake-1"


def test_the_bridge_needs_nothing_else(tmp_path: Path) -> None:
    with running("fake-bridge", "--script", script(tmp_path, "acts = [{ model_missing = true }]")) as fake:
        # Polled: with the limits of production, a busy machine may have no time for the scorer at first.
        page = wait_for(
            lambda: call_now(fake.http_port, "GET", "/feed/recommendations?userId=u1&pageSize=1").json,
            lambda page: page["fallbackReason"] == "MODEL_MISSING",
        )
        assert page["source"] == "TRENDING"
        assert fake.stop() == 0


@pytest.mark.parametrize(
    ("name", "text", "problems"),
    [
        (
            "fake-scorer",
            "acts = [{ hang = 1 }]\npages = []",
            ["acts[0].hang: must be true, or be left out, not 1", "pages: is for feed fake-bridge alone"],
        ),
        ("fake-bridge", "seed = -1", ["seed: must be a whole number from 0 to 2^63 - 1, not -1"]),
    ],
)
def test_a_wrong_script_ends_the_command_with_every_error(
    name: str, text: str, problems: list[str], tmp_path: Path
) -> None:
    path = script(tmp_path, text)
    result = ended(name, "--script", path)
    assert result.returncode == 2
    first, *rest = result.stderr.splitlines()
    assert (first, sorted(rest)) == (f"feed {name}: {path} is wrong:", sorted(problems))


def test_what_cannot_be_is_said() -> None:
    missing = ended("fake-scorer", "--script", "nowhere.toml")
    assert (missing.returncode, "nowhere.toml cannot be read" in missing.stderr) == (2, True)
    port = ended("fake-bridge", "--port", "70000")
    assert (port.returncode, "must be a whole number from 0 to 65535" in port.stderr) == (2, True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        for relay in ((), ("--relay",)):
            result = ended("fake-scorer", "--port", str(number), "--http-port", "0", *relay)
            assert result.returncode == 1
            assert f"gRPC cannot listen on 127.0.0.1:{number}: is it in use?" in result.stdout
