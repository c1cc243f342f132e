"""The client and a service that wants to see a certificate."""

import asyncio
import itertools
import json
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from interactions.app import build
from interactions.client import HttpTransport, TlsFiles
from interactions.client.event import Event
from interactions.client.grpc_transport import GrpcTransport
from interactions.client.transport import Answer, Answered, Failed, Transport
from interactions.settings import InteractionsSettings
from runtime.process import Service
from runtime.settings import load
from runtime.tls.identity import tls_of
from tests.polling import until
from tests.tls import TlsFolder, grpc_outcome

Make = Callable[[Service, TlsFiles], Transport]


@pytest.fixture
def files(tmp_path: Path) -> TlsFolder:
    return TlsFolder(tmp_path / "tls")


@pytest.fixture
async def service(tmp_path: Path, files: TlsFolder) -> AsyncIterator[Service]:
    """An ingest service in this process."""
    settings = load(InteractionsSettings, {"FEED_DATA_DIR": str(tmp_path), **files.environ})
    async with Service("interactions", build(settings), tls=tls_of(settings)) as made:
        yield made


@pytest.fixture
def make(way: str) -> Make:
    """Makes a transport to a service."""
    if way == "http":
        return lambda service, tls: HttpTransport(f"https://127.0.0.1:{service.http_port}", tls=tls)
    return lambda service, tls: GrpcTransport(f"127.0.0.1:{service.grpc_port}", credentials=tls)


def files_of_client(files: TlsFolder) -> TlsFiles:
    """They are looked at for each call."""
    seconds = itertools.count(step=2).__next__
    return TlsFiles(files.authority.certificate, files.identity.certificate, files.identity.key, seconds)


async def sent(transport: Transport) -> Answer:
    """Sends one event."""
    event_id = str(uuid.uuid4())
    fields = {"eventId": event_id, "userId": "u1", "videoId": "v1", "interactionType": "LIKE"}
    event = Event(event_id, json.dumps({**fields, "timestamp": "2026-01-01T00:00:00Z"}).encode())
    return await asyncio.to_thread(transport.send, [event], 10.0)


async def test_events_arrive_before_and_after_all_certificates_have_changed(
    service: Service, make: Make, files: TlsFolder
):
    transport = make(service, files_of_client(files))
    assert isinstance(await sent(transport), Answered)
    anew = TlsFolder(files.folder)
    await until(
        lambda: asyncio.to_thread(grpc_outcome, service.grpc_port, anew.authority.certificate, anew.identity), "OK"
    )
    assert isinstance(await sent(transport), Answered)
    transport.close()


async def test_who_shows_none_is_told_so_and_keeps_the_event(service: Service, make: Make, files: TlsFolder):
    transport = make(service, TlsFiles(files.authority.certificate))
    assert isinstance(await sent(transport), Failed)
    transport.close()


def test_half_of_a_pair_is_refused_at_once(files: TlsFolder):
    with pytest.raises(ValueError, match="cert_file and key_file need each other"):
        TlsFiles(files.authority.certificate, files.identity.certificate)
