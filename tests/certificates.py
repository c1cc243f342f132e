"""A certificate authority for tests, and what it signs."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LIFETIME = timedelta(days=1)
HERE = ("localhost", "127.0.0.1")


@dataclass(frozen=True, slots=True)
class Identity:
    """PEM files of who somebody is: the key, the certificate, and both in one file."""

    key: Path
    certificate: Path
    both: Path


class Authority:
    """Signs certificates.

    Args:
        folder: Takes all files.
        name: Its own.
    """

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._name = _named(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = folder / f"{name}.pem"
        limits = x509.BasicConstraints(ca=True, path_length=0)
        named = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        builder = _builder(self._name, self._name, self._key, timedelta()).add_extension(limits, critical=True)
        builder = builder.add_extension(named, critical=False)
        self.certificate.write_bytes(_signed(builder, self._key))

    def identity(self, name: str, *, at: Sequence[str] = HERE, begun: timedelta = timedelta()) -> Identity:
        """Returns a new key, and a certificate for it that is good from a day ago until a day from now.

        Args:
            name: Of the files, and the certificate's common name.
            at: Its alternative names: addresses, URIs, and others are DNS names.
            begun: Moves the two days.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_named(name), self._name, key, begun).add_extension(_alternatives(at), critical=False)
        # By which an authority is told from the one before it, which has the same name.
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return _kept(self._folder, name, key, _signed(builder.add_extension(signer, critical=False), self._key))


def self_signed(folder: Path, name: str, at: Sequence[str] = HERE) -> Identity:
    """Returns a new key, and a certificate that nobody but it has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_named(name), _named(name), key, timedelta()).add_extension(_alternatives(at), critical=False)
    return _kept(folder, name, key, _signed(builder, key))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, begun: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC) + begun
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - LIFETIME)
        .not_valid_after(now + LIFETIME)
    )


def _alternatives(names: Sequence[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_alternative(name) for name in names])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.UniformResourceIdentifier(name) if "://" in name else x509.DNSName(name)


def _signed(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> bytes:
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _kept(folder: Path, name: str, key: ec.EllipticCurvePrivateKey, certificate: bytes) -> Identity:
    made = Identity(*(folder / f"{name}-{part}.pem" for part in ("key", "certificate", "both")))
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(made.key, secret)
    _write(made.certificate, certificate)
    _write(made.both, secret + certificate)
    return made


def _write(path: Path, content: bytes) -> None:
    """As a careful operator does: for the user alone, and there at once."""
    temporary = path.with_suffix(".new")
    temporary.touch(mode=0o600)
    temporary.write_bytes(content)
    temporary.replace(path)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
