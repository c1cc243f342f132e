"""Processes with certificates, in tests: their files, their settings, and callers with and without."""

import http.client
import ssl
from collections.abc import Sequence
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.certificates import HERE, Authority, Identity

TIMEOUT_S = 10.0


class TlsFolder:
    """The files that processes of one system are given, and may be given anew.

    Args:
        folder: Where they are.
        at: The alternative names of the first certificate.
    """

    def __init__(self, folder: Path, at: Sequence[str] = HERE) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.authority = Authority(folder)
        self.identity = self.authority.identity("service", at=at)

    @property
    def environ(self) -> dict[str, str]:
        """The settings of a process that shows its certificate and wants to see one."""
        return {
            "FEED_TLS_CERT_FILE": str(self.identity.certificate),
            "FEED_TLS_KEY_FILE": str(self.identity.key),
            "FEED_TLS_CA_FILE": str(self.authority.certificate),
            "FEED_TLS_CLIENT_CA_FILE": str(self.authority.certificate),
        }

    @property
    def context(self) -> ssl.SSLContext:
        """For a caller who shows the certificate that is there now."""
        context = ssl.create_default_context(cafile=self.authority.certificate)
        context.load_cert_chain(self.identity.certificate, self.identity.key)
        return context

    def renew(self, at: Sequence[str] = HERE) -> None:
        """Puts another key and certificate of the same authority in the place of those that are there."""
        self.identity = self.authority.identity("service", at=at)


def grpc_outcome(port: int, authority: Path, shown: Identity | None) -> str:
    """Asks a process for its health over gRPC; returns its status."""
    pair = (shown.key.read_bytes(), shown.certificate.read_bytes()) if shown else (None, None)
    credentials = grpc.ssl_channel_credentials(authority.read_bytes(), *pair)
    options = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0))
    with grpc.secure_channel(f"127.0.0.1:{port}", credentials, options) as channel:
        return _asked(channel)


def plain_grpc_outcome(port: int) -> str:
    """The same, in plain text."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        return _asked(channel)


def https_outcome(port: int, authority: Path, shown: Identity | None) -> str:
    """Asks a process for its health over REST; returns its status, or `REFUSED`."""
    context = ssl.create_default_context(cafile=authority)
    if shown:
        context.load_cert_chain(shown.certificate, shown.key)
    return _got(http.client.HTTPSConnection("127.0.0.1", port, timeout=TIMEOUT_S, context=context))


def plain_http_outcome(port: int) -> str:
    """The same, in plain text."""
    return _got(http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S))


def _asked(channel: grpc.Channel) -> str:
    try:
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


def _got(connection: http.client.HTTPConnection) -> str:
    try:
        connection.request("GET", "/healthz")
        return str(connection.getresponse().status)
    except (OSError, http.client.HTTPException):
        return "REFUSED"
    finally:
        connection.close()
