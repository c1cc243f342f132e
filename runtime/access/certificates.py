"""Services that prove who they are by the certificate of their connection."""

from collections.abc import Iterable, Mapping

from runtime.access.policy import SCOPES
from runtime.access.rules import Caller


class CertificatesError(Exception):
    """A certificate's name is to have a scope that there is not; the operator mends the setting."""


class CertificateBearers:
    """Knows what the names in certificates may do.

    Args:
        scopes: By name, as a certificate has it among its subject's alternative names: a DNS name or a URI.
    """

    def __init__(self, scopes: Mapping[str, frozenset[str]]) -> None:
        self._scopes = scopes

    def caller(self, names: Iterable[str]) -> Caller | None:
        """Returns whose certificate has these names; None: nobody's who is known."""
        known = [name for name in names if name in self._scopes]
        if not known:
            return None
        return Caller(f"certificate:{known[0]}", "", frozenset[str]().union(*map(self._scopes.__getitem__, known)))


def parse(text: str) -> CertificateBearers:
    """Reads `NAME=scope+scope,…`, of the form that the setting has.

    Raises:
        CertificatesError: There is no such scope.
    """
    pairs = (each.rpartition("=") for each in text.split(",") if each)
    scopes = {name: frozenset(given.split("+")) for name, _, given in pairs}
    unknown = sorted(frozenset[str]().union(*scopes.values()) - SCOPES)
    if unknown:
        raise CertificatesError(f"there is no scope {', '.join(unknown)}; there are {', '.join(sorted(SCOPES))}")
    return CertificateBearers(scopes)
