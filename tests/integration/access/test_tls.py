"""Connections that are protected: who is let in, certificates that change, and who a certificate says that it is."""

import asyncio
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.adapters.scorer_grpc import GrpcScorer
from bridge.domain.outcome import Outcome
from bridge.ports import ScorerError
from deploy.bridge_counters import BridgeError, read_counters
from deploy.processes import ProcessSpec, not_ready
from feed.scoring.v1 import scoring_pb2
from insights.adapters.exposition_http import HttpExposition
from insights.ports import ExpositionError
from runtime.access.guard import guard_of
from runtime.process import Service
from runtime.servers.connections import Connections
from runtime.servers.grpc_server import GrpcService
from runtime.servers.http_protocol import Bounds
from runtime.servers.http_server import HttpServer
from runtime.servers.json_http import json_response
from runtime.servers.sockets import listen
from runtime.settings import CommonSettings, load
from runtime.tls.identity import tls_of
from runtime.tls.servers import https_context
from scorer.app import build
from scorer.settings import ScorerSettings
from tests.certificates import HERE, LIFETIME
from tests.http import call_now
from tests.polling import until
from tests.tls import TlsFolder, grpc_outcome, https_outcome

BRIDGE = "bridge.feed.internal"
READER = "dashboard.feed.internal"
NAMED = {
    "FEED_AUTH": "keys",
    "FEED_AUTH_CERTIFICATES": f"{BRIDGE}=scoring:rank,{READER}=insights:read,spiffe://feed/sre=admin",
}


class Funnel:
    """A process that has one route, for who may read insights."""

    grpc_services: Sequence[GrpcService] = ()

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.http_routes = [Route("/feed/funnel", self._answer)]

    async def _answer(self, _request: Request) -> Response:
        return json_response({})

    async def start(self) -> None:
        """Has nothing to start."""

    async def stop(self) -> None:
        """Has nothing to stop."""

    def not_ready(self) -> str | None:
        """Is always ready."""
        return None


def scorer_of(folder: Path, environ: Mapping[str, str]) -> Service:
    """A scorer without a model."""
    settings = load(ScorerSettings, {"FEED_DATA_DIR": str(folder), **environ})
    return Service("scorer", build(settings), guard=guard_of(settings), tls=tls_of(settings))


async def outcome(scorer: GrpcScorer) -> Outcome:
    """What a bridge gets to hear."""
    with pytest.raises(ScorerError) as caught:
        await scorer.rank([scoring_pb2.RankRequest(user_id="u1", k=1)], 10.0)
    return caught.value.failure.outcome


async def test_a_bridge_and_its_scorer_take_new_certificates_as_they_run(tmp_path: Path):
    """The old authority is gone with the old certificates: who still shows one is refused."""
    files = TlsFolder(tmp_path / "tls")
    settings = load(ScorerSettings, files.environ)
    async with scorer_of(tmp_path, files.environ) as service:
        port, https = service.grpc_port, service.http_port
        scorer = GrpcScorer(f"127.0.0.1:{port}", tls=tls_of(settings))
        assert await outcome(scorer) is Outcome.MODEL_MISSING
        old = files.authority.identity("old")
        old_authority = tmp_path / "old-authority.pem"
        old_authority.write_bytes(files.authority.certificate.read_bytes())

        TlsFolder(tmp_path / "tls")  # another authority, another certificate, at the same places
        await until(lambda: asyncio.to_thread(grpc_outcome, port, files.authority.certificate, files.identity), "OK")
        assert await asyncio.to_thread(https_outcome, https, files.authority.certificate, files.identity) == "200"
        for authority in (files.authority.certificate, old_authority):
            assert await asyncio.to_thread(grpc_outcome, port, authority, old) == "UNAVAILABLE"
            assert await asyncio.to_thread(https_outcome, https, authority, old) == "REFUSED"
        assert await outcome(scorer) is Outcome.MODEL_MISSING
        await scorer.close()


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        pytest.param((*HERE, BRIDGE), Outcome.MODEL_MISSING, id="the bridge"),
        pytest.param((*HERE, "spiffe://feed/sre"), Outcome.MODEL_MISSING, id="who may do everything, by a URI"),
        pytest.param(HERE, Outcome.REFUSED, id="nobody who is known"),
    ],
)
async def test_a_certificate_says_what_a_service_may_do(tmp_path: Path, at: tuple[str, ...], expected: Outcome):
    files = TlsFolder(tmp_path / "tls", at)
    settings = load(ScorerSettings, files.environ)
    async with scorer_of(tmp_path, {**files.environ, **NAMED}) as service:
        scorer = GrpcScorer(f"127.0.0.1:{service.grpc_port}", tls=tls_of(settings))
        assert await outcome(scorer) is expected
        await scorer.close()


async def test_a_wrong_token_is_not_made_good_by_a_certificate(tmp_path: Path):
    files = TlsFolder(tmp_path / "tls", (*HERE, BRIDGE))
    settings = load(ScorerSettings, files.environ)
    async with scorer_of(tmp_path, {**files.environ, **NAMED}) as service:
        proof = (("authorization", "Bearer feedkey.nobody.x"),)
        scorer = GrpcScorer(f"127.0.0.1:{service.grpc_port}", lambda: proof, tls_of(settings))
        assert await outcome(scorer) is Outcome.REFUSED
        await scorer.close()


@pytest.mark.parametrize(
    ("at", "headers", "reason"),
    [
        pytest.param((*HERE, READER), {}, "", id="a service that may read"),
        pytest.param((*HERE, "spiffe://feed/sre"), {}, "", id="who may do everything, by a URI"),
        pytest.param((*HERE, BRIDGE), {}, "SCOPE_MISSING", id="a service that may do something else"),
        pytest.param(HERE, {}, "TOKEN_MISSING", id="nobody who is known"),
        pytest.param((*HERE, READER), {"authorization": "Bearer feedkey.x.x"}, "TOKEN_INVALID", id="a wrong token"),
    ],
)
async def test_a_certificate_says_the_same_over_rest(
    tmp_path: Path, at: tuple[str, ...], headers: Mapping[str, str], reason: str
):
    files = TlsFolder(tmp_path / "tls", at)
    settings = load(CommonSettings, {**files.environ, **NAMED})
    async with Service("test", Funnel(), grpc_port=None, guard=guard_of(settings), tls=tls_of(settings)) as service:
        ask = partial(call_now, service.http_port, "GET", "/feed/funnel", headers=headers, tls=files.context)
        answer = await asyncio.to_thread(ask)
    assert answer.json.get("reason", "") == reason


async def test_who_looks_after_processes_shows_a_certificate_too(tmp_path: Path):
    """`feed ready` asks its own machine, whatever name is in the certificate; who asks others goes by the name."""
    files = TlsFolder(tmp_path / "tls")
    tls = tls_of(load(ScorerSettings, files.environ))
    async with scorer_of(tmp_path, files.environ) as service:
        url = f"https://127.0.0.1:{service.http_port}"
        spec = ProcessSpec("scorer", (), f"{url}/healthz", tls)
        assert await asyncio.to_thread(not_ready, spec) is None
        metric = "feed_tls_certificate_expiry_seconds"
        samples = await HttpExposition([metric], tls=tls).read(f"{url}/metrics")
        assert samples[metric][0].value == pytest.approx(time.time() + LIFETIME.total_seconds(), abs=600)
        with pytest.raises(BridgeError, match="these are not the metrics of a bridge"):
            await asyncio.to_thread(read_counters, [f"{url}/metrics"], tls)

        files.renew(at=["scorer.example"])
        await until(lambda: asyncio.to_thread(shows, service.http_port, files), expected=True)
        assert await asyncio.to_thread(not_ready, spec) is None
        with pytest.raises(ExpositionError, match="not valid for"):
            await HttpExposition([metric], tls=tls).read(f"{url}/metrics")
        assert "certificate" in str(await asyncio.to_thread(not_ready, replace(spec, tls=None)))


def shows(port: int, files: TlsFolder) -> bool:
    """Whether new connections get the certificate that is in the files."""
    found = ssl.get_server_certificate(("127.0.0.1", port))
    return found.split() == files.identity.certificate.read_text().split()


async def test_who_does_not_finish_the_handshake_is_left(tmp_path: Path):
    files = TlsFolder(tmp_path / "tls")
    tls = tls_of(load(CommonSettings, files.environ))
    assert tls is not None
    listener = listen("127.0.0.1", 0)
    bounds = Bounds(Connections(), handshake_s=0.2)
    http = HttpServer(Starlette(), listener, bounds, https_context(tls))
    serving = asyncio.create_task(http.run_until_stopped())
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    assert await asyncio.wait_for(reader.read(), 20.0) == b""
    writer.close()
    http.should_exit = True
    await serving
