"""How connections between processes are protected: `FEED_TLS_*`."""

from collections.abc import Iterator, Mapping
from typing import Final

from pydantic import Field
from pydantic_settings import BaseSettings

_CERTIFICATE: Final = "tls_cert_file"
_KEY: Final = "tls_key_file"
_AUTHORITY: Final = "tls_ca_file"
_CLIENTS: Final = "tls_client_ca_file"


class TlsSettings(BaseSettings):
    """The PEM files of a process; all are read again as they change.

    With a certificate it answers by TLS only; with an authority it calls others by TLS.
    """

    tls_cert_file: str = Field("", description="PEM file of this process's certificate, and of those between.")
    tls_key_file: str = Field("", description="PEM file of its key, without a password, for its user alone.")
    tls_ca_file: str = Field("", description="PEM file of who signs the processes that this one calls.")
    tls_client_ca_file: str = Field(
        "", description="PEM file of who signs callers: they must show a certificate; empty: nobody must."
    )

    @property
    def serves_tls(self) -> bool:
        """Whether this process answers by TLS."""
        return bool(self.tls_cert_file)


def contradictions(given: Mapping[str, str]) -> Iterator[str]:
    """Yields what does not fit together, a line each.

    Args:
        given: What was set, by field; each may be wrong by itself.
    """
    chosen = {name for name, value in given.items() if value}
    if (_CERTIFICATE in chosen) != (_KEY in chosen):
        yield f"{_called(_CERTIFICATE)} and {_called(_KEY)} need each other"
    if _CERTIFICATE in chosen and _AUTHORITY not in chosen:
        yield f"{_called(_CERTIFICATE)} needs {_called(_AUTHORITY)}: processes call each other by TLS, too"
    if _CLIENTS in chosen and _CERTIFICATE not in chosen:
        yield f"{_called(_CLIENTS)} needs {_called(_CERTIFICATE)}"
    if "auth_certificates" in chosen and _CLIENTS not in chosen:
        yield f"FEED_AUTH_CERTIFICATES needs {_called(_CLIENTS)}: else nobody shows a certificate"


def _called(name: str) -> str:
    return f"FEED_{name.upper()}"
