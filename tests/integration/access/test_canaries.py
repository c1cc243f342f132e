"""S11's secrets: what a process is trusted with is in none of its logs, metrics, answers or arguments."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import grpc
import pytest

from feed.recommendations.v1 import recommendations_pb2 as pb
from feed.recommendations.v1 import recommendations_pb2_grpc
from runtime.access import api_keys
from tests.chaos.processes import Running
from tests.http import call_now
from tests.polling import wait_for
from tests.secret_files import write_secret
from tests.system import free_ports
from tests.tokens import Issuer

CANARY: Final = "canary4f1c"
# Nobody listens there: whatever is tried fails, and is told.
NOBODY: Final = "127.0.0.1:1"


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    """Whom the processes trust."""
    return Issuer(tmp_path / "jwks.json")


@pytest.fixture
def secrets(tmp_path: Path, issuer: Issuer) -> dict[str, str]:
    """Settings of which each secret holds the canary."""
    write_secret(tmp_path / "scorer.key", f"feedkey.bridge.{CANARY}")
    return {
        "FEED_DATA_DIR": str(tmp_path),
        "FEED_LOG_LEVEL": "DEBUG",
        "FEED_DRAIN_DELAY_MS": "0",
        "FEED_SCORER_TARGETS": NOBODY,
        "FEED_BRIDGE_SCORER_KEY_FILE": str(tmp_path / "scorer.key"),
        "FEED_DATABASE_URL": f"postgresql://feed:{CANARY}@{NOBODY}/feed?sslpassword={CANARY}",
        "FEED_KAFKA_BOOTSTRAP_SERVERS": NOBODY,
        "FEED_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "FEED_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "FEED_KAFKA_SASL_USERNAME": "feed",
        "FEED_KAFKA_SASL_PASSWORD": CANARY,
        **issuer.environ,
    }


@pytest.fixture
def processes(tmp_path: Path, secrets: dict[str, str]) -> Iterator[dict[str, Running]]:
    """A bridge, which lacks its database, and an ingest, which lacks its broker; both log all they can."""
    ports = free_ports()
    with ExitStack() as closing:
        started = {}
        for name in ("bridge", "interactions"):
            grpc_port, http_port = next(ports), next(ports)
            own = {f"FEED_{name.upper()}_GRPC_PORT": str(grpc_port), f"FEED_{name.upper()}_HTTP_PORT": str(http_port)}
            process = Running(name, ("-m", name), {**secrets, **own}, tmp_path, grpc_port, http_port)
            closing.callback(process.stop)
            process.launch()
            started[name] = process
        for process in started.values():
            wait_for(lambda port=process.http_port: _listens(port), bool, 90.0)  # type: ignore[misc]
        yield started


def _listens(port: int) -> bool:
    try:
        return call_now(port, "GET", "/healthz").status == 200
    except OSError:
        return False


def ask(process: Running, token: str) -> str:
    """Asks for what a process offers, over both ways; returns all that it says."""
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    paths = ("/feed/recommendations?userId=u1", "/metrics", "/readyz", "/openapi.json")
    said = [call_now(process.http_port, "GET", path, headers=headers) for path in paths]
    said.append(call_now(process.http_port, "POST", "/feed/interactions", token.encode(), headers))
    with grpc.insecure_channel(process.target) as channel:
        stub = recommendations_pb2_grpc.RecommendationServiceStub(channel)
        metadata = (("authorization", f"Bearer {token}"),)
        try:
            told = str(stub.GetRecommendations(pb.GetRecommendationsRequest(user_id="u1"), 10.0, metadata=metadata))
        except grpc.RpcError as error:
            told = str(error)
    return "\n".join([told, *(f"{each.headers} {each.text}" for each in said)])


def test_no_secret_leaves_a_process(tmp_path: Path, processes: dict[str, Running], issuer: Issuer) -> None:
    """Good tokens, wrong ones and API keys hold the canary, too."""
    key = api_keys.create(tmp_path / "keys" / "api_keys.json", "app", ["admin"])
    tokens = [key, f"feedkey.app.{CANARY}", issuer.token(), f"{CANARY}.{CANARY}.{CANARY}"]
    secrets = {CANARY, *(token.rpartition(".")[2] for token in tokens)}
    said = "".join(ask(process, token) for process in processes.values() for token in tokens)
    arguments = "".join(Path(f"/proc/{process.pid}/cmdline").read_text() for process in processes.values())
    ended = [process.stop() for process in processes.values()]
    logs = "".join((tmp_path / f"{name}.log").read_text() for name in processes)
    assert ended == [0, 0]
    for trouble in ("rpc.ended", "eventlog.", "bridge.refresh_failed"):
        assert trouble in logs  # they did say what goes wrong
    for where, text in (("answers", said), ("arguments", arguments), ("logs", logs)):
        assert [secret for secret in secrets if secret in text] == [], where
