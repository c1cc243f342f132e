"""TLS of the servers of a process: each new connection is made with the certificates that are there then."""

import ssl

import grpc

from runtime.tls.identity import Credentials, TlsFiles


def grpc_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """Returns what a gRPC server listens with."""
    held = files.now()

    def changed() -> grpc.ServerCertificateConfiguration | None:
        """Called in a thread of gRPC's at each handshake."""
        nonlocal held
        now = files.now()
        if now is held:
            return None
        held = now
        return _configuration(now)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(held),
        changed,  # type: ignore[arg-type]  # its stubs do not know that None means no change
        require_client_authentication=bool(held.client_authority),
    )


def https_context(files: TlsFiles) -> ssl.SSLContext:
    """Returns what an HTTP server listens with.

    Certificates can be put into a context that is in use, but authorities cannot be taken out of one: so each
    connection goes over to the newest context when its caller has said hello.
    """
    context = _server(files.now())

    def newest(connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = _server(files.now())

    context.sni_callback = newest
    return context


def _server(credentials: Credentials) -> ssl.SSLContext:
    if credentials.server is None:
        raise ValueError("a server needs a certificate")
    return credentials.server


def _configuration(credentials: Credentials) -> grpc.ServerCertificateConfiguration:
    pairs = [(credentials.key, credentials.certificate)]
    return grpc.ssl_server_certificate_configuration(pairs, credentials.client_authority or None)
