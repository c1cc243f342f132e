"""Connections that are protected: who is let in, certificates that change, and who a certificate says that it is."""

import asyncio
import ssl
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

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
from runtime.settings import load
from runtime.tls.identity import tls_of
from scorer.app import build
from scorer.settings import ScorerSettings
from tests.certificates import HERE, LIFETIME
from tests.polling import until
from tests.tls import TlsFolder, grpc_outcome, https_outcome

BRIDGE = "bridge.feed.internal"
NAMED = {"FEED_AUTH": "keys", "FEED_AUTH_CERTIFICATES": f"{BRIDGE}=scoring:rank,spiffe://feed/sre=admin"}


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
