"""Who this process is and whom it trusts: PEM files, read again as they change."""

import math
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import structlog

from runtime.secrets.files import SecretFileError, require_private, stamp_of
from runtime.settings import CommonSettings, SettingsError

_LOG = structlog.get_logger(__name__)

# The files are looked at no more often than this, in seconds.
_LOOK_S: Final = 1.0
# OpenSSL would ask for the password of an encrypted key at the terminal.
_NO_PASSWORD: Final = ""

_Stamps: TypeAlias = tuple[tuple[int, ...], ...]


class TlsError(Exception):
    """The files do not make a whole; the text says which, and what is wrong. The operator mends them."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the files hold at one time.

    Args:
        certificate: PEM chain of this process; empty: it has none.
        key: PEM of its key.
        authority: PEM of who signs the processes that it calls.
        client_authority: PEM of who signs its callers; empty: they show nothing.
        server: For those who call; None without a certificate.
        client: For calls; shows the certificate to who asks.
        probe: For calls to processes on this machine, whose certificates have the name that others call them by.
        expiry_time: When the certificate runs out, in Unix seconds; NaN without one.
    """

    certificate: bytes
    key: bytes
    authority: bytes
    client_authority: bytes
    server: ssl.SSLContext | None
    client: ssl.SSLContext
    probe: ssl.SSLContext
    expiry_time: float


class TlsFiles:
    """The files of `FEED_TLS_*` as they are now; ask from any thread.

    While they are being replaced, or are wrong, what they held before stays.

    Args:
        settings: Where they are; at least the authority's.
        monotonic: The clock.

    Raises:
        TlsError: When they are wrong now.
    """

    def __init__(self, settings: CommonSettings, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._looked = monotonic()
        self._stamps = self._stamped()
        self._held = _read(settings)

    def now(self) -> Credentials:
        """Returns what they hold: the same object until something else is there."""
        if self._monotonic() - self._looked >= _LOOK_S and self._lock.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._lock.release()
        return self._held

    def _look(self) -> None:
        self._looked = self._monotonic()
        stamps = self._stamped()
        if stamps == self._stamps:
            return
        self._stamps = stamps
        try:
            found = _read(self._settings)
        except TlsError as error:
            _LOG.error("tls.not_read", error=str(error))
            return
        # What was replaced while it was read may be half of each; the next look reads it again.
        if self._stamped() == stamps:
            self._held = found
            _LOG.info("tls.read")

    def _stamped(self) -> _Stamps:
        return tuple(stamp_of(Path(name)) for name in _names(self._settings))


def tls_of(settings: CommonSettings) -> TlsFiles | None:
    """Returns the files that the settings name; None: connections are plain text.

    Raises:
        SettingsError: When they are wrong.
    """
    if not settings.tls_ca_file:
        return None
    try:
        return TlsFiles(settings)
    except TlsError as error:
        raise SettingsError([str(error)]) from error


def _names(settings: CommonSettings) -> list[str]:
    named = (settings.tls_cert_file, settings.tls_key_file, settings.tls_ca_file, settings.tls_client_ca_file)
    return [name for name in named if name]


def _read(settings: CommonSettings) -> Credentials:
    certificate = _content("FEED_TLS_CERT_FILE", settings.tls_cert_file)
    return Credentials(
        certificate=certificate,
        key=_content("FEED_TLS_KEY_FILE", settings.tls_key_file),
        authority=_content("FEED_TLS_CA_FILE", settings.tls_ca_file),
        client_authority=_content("FEED_TLS_CLIENT_CA_FILE", settings.tls_client_ca_file),
        server=_server_context(settings) if settings.serves_tls else None,
        client=_client_context(settings, check_name=True),
        probe=_client_context(settings, check_name=False),
        expiry_time=_expiry_time(certificate) if certificate else math.nan,
    )


def _content(setting: str, name: str) -> bytes:
    try:
        return Path(name).read_bytes() if name else b""
    except OSError as error:
        raise TlsError(f"{setting}: {Path(name).name}: {error.strerror}") from error


def _server_context(settings: CommonSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _show(context, settings)
    if settings.tls_client_ca_file:
        # A session that goes on later shows no certificate: TLS 1.2 has such by itself, 1.3 by tickets.
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.num_tickets = 0
        context.verify_mode = ssl.CERT_REQUIRED
        _trust(context, "FEED_TLS_CLIENT_CA_FILE", settings.tls_client_ca_file)
    return context


def _client_context(settings: CommonSettings, *, check_name: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = check_name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _trust(context, "FEED_TLS_CA_FILE", settings.tls_ca_file)
    if settings.tls_cert_file:
        _show(context, settings)
    return context


def _show(context: ssl.SSLContext, settings: CommonSettings) -> None:
    try:
        require_private(Path(settings.tls_key_file))
        context.load_cert_chain(settings.tls_cert_file, settings.tls_key_file, _NO_PASSWORD)
    except SecretFileError as error:
        raise TlsError(f"FEED_TLS_KEY_FILE: {error}") from error
    except OSError as error:  # ssl.SSLError is one
        problem = getattr(error, "reason", None) or error.strerror
        raise TlsError(f"FEED_TLS_CERT_FILE and FEED_TLS_KEY_FILE are no pair: {problem}") from error


def _trust(context: ssl.SSLContext, setting: str, name: str) -> None:
    try:
        context.load_verify_locations(name)
    except OSError as error:
        raise TlsError(f"{setting}: {Path(name).name}: holds no certificate") from error


def _expiry_time(certificate: bytes) -> float:
    # Only those who have a certificate pay for the import.
    from cryptography.x509 import load_pem_x509_certificate  # noqa: PLC0415

    return load_pem_x509_certificate(certificate).not_valid_after_utc.timestamp()
