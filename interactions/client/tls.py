"""Certificates of a connection to the service: PEM files, read again as they change."""

import os
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

_LOOK_S: Final = 1.0
# OpenSSL would ask for the password of an encrypted key at the terminal.
_NO_PASSWORD: Final = ""

_Path: TypeAlias = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the files hold at one time; without a certificate of one's own, two are empty."""

    authority: bytes
    certificate: bytes
    key: bytes
    context: ssl.SSLContext


class TlsFiles:
    """Who signs the service, and who this client is. While the files are wrong, what they held before stays.

    Args:
        ca_file: Who signs the service.
        cert_file: This client's certificate; None: the service asks for none.
        key_file: Its key, without a password.
        monotonic: The clock.

    Raises:
        OSError: The files cannot be read or are no pair.
    """

    def __init__(
        self,
        ca_file: _Path,
        cert_file: _Path | None = None,
        key_file: _Path | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if bool(cert_file) != bool(key_file):
            raise ValueError("cert_file and key_file need each other")
        self._authority = Path(ca_file)
        self._own = (Path(cert_file), Path(key_file)) if cert_file and key_file else None
        self._monotonic = monotonic
        self._looked = monotonic()
        self._stamps = self._stamped()
        self._held = self._read()

    def now(self) -> Credentials:
        """Returns what they hold: the same object until something else is there."""
        if self._monotonic() - self._looked >= _LOOK_S:
            self._looked = self._monotonic()
            self._look()
        return self._held

    def _look(self) -> None:
        stamps = self._stamped()
        if stamps == self._stamps:
            return
        self._stamps = stamps
        try:
            found = self._read()
        except OSError:
            return  # half of a new pair; the other one changes the stamps again
        if self._stamped() == stamps:
            self._held = found

    def _read(self) -> Credentials:
        context = ssl.create_default_context(cafile=self._authority)
        authority = self._authority.read_bytes()
        if self._own is None:
            return Credentials(authority, b"", b"", context)
        certificate, key = self._own
        context.load_cert_chain(certificate, key, _NO_PASSWORD)
        return Credentials(authority, certificate.read_bytes(), key.read_bytes(), context)

    def _stamped(self) -> tuple[tuple[int, ...], ...]:
        return tuple(_stamp(path) for path in (self._authority, *(self._own or ())))


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_size
