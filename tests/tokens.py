"""Who issues tokens in tests: keys of each kind, the key set, and tokens that are good or wrong in one way."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from runtime.access.tokens import MAX_TOKEN_CHARS

ISSUER: Final = "https://issuer.example"
AUDIENCE: Final = "feed"

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def new_key(algorithm: str = "ES256") -> Key:
    if algorithm == "RS256":
        return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    return ed25519.Ed25519PrivateKey.generate() if algorithm == "EdDSA" else ec.generate_private_key(ec.SECP256R1())


def public_jwk(key: Key, key_id: str, **changes: Any) -> dict[str, Any]:
    """The public half as a row of a key set."""
    public: Any = key.public_key()
    if isinstance(key, rsa.RSAPrivateKey):
        row = RSAAlgorithm.to_jwk(public, as_dict=True)
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        row = ECAlgorithm.to_jwk(public, as_dict=True)
    else:
        row = OKPAlgorithm.to_jwk(public, as_dict=True)
    return {**row, "kid": key_id, "use": "sig", **changes}


class Issuer:
    """Issues tokens.

    Args:
        path: The file of its key set.
        algorithm: What it signs with.
    """

    def __init__(self, path: Path, algorithm: str = "ES256") -> None:
        self.path = path
        self.algorithm = algorithm
        self.key_id = "k1"
        self.key = new_key(algorithm)
        self.publish()

    @property
    def environ(self) -> dict[str, str]:
        """The settings of a process that trusts it."""
        return {
            "FEED_AUTH": "jwt",
            "FEED_AUTH_ISSUER": ISSUER,
            "FEED_AUTH_AUDIENCE": AUDIENCE,
            "FEED_AUTH_JWKS_FILE": str(self.path),
        }

    def publish(self, *more: Mapping[str, Any]) -> None:
        """Writes the key set."""
        rows = [public_jwk(self.key, self.key_id), *more]
        self.path.write_text(json.dumps({"keys": rows}))

    def rotate(self) -> None:
        """Signs with another key from now on, and no longer vouches for the one before."""
        self.key, self.key_id = new_key(self.algorithm), f"{self.key_id}+"
        self.publish()

    def claims(self, subject: str = "u1", **changes: Any) -> dict[str, Any]:
        """Good claims, but for the changes; None leaves a claim out."""
        now = int(time.time())
        made = {"sub": subject, "iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 600, **changes}
        return {name: value for name, value in made.items() if value is not None}

    def token(self, subject: str = "u1", **changes: Any) -> str:
        """A good token, but for the changes of its claims."""
        return self.signed(self.claims(subject, **changes))

    def signed(self, claims: Mapping[str, Any], **header: Any) -> str:
        return jwt.encode(dict(claims), self.key, self.algorithm, headers={"kid": self.key_id, **header})

    def hostile(self) -> dict[str, Callable[[], str]]:
        """Tokens that are good but for one thing, by what that is."""
        now = int(time.time())
        good = self.token
        claims = self.claims()
        pem = self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        header, payload, signature = good().split(".")
        other = self.claims("u2")
        return {
            "expired": lambda: good(exp=now - 3_600, iat=now - 7_200),
            "not yet valid": lambda: good(nbf=now + 3_600),
            "issued in the future": lambda: good(iat=now + 3_600),
            "without exp": lambda: good(exp=None),
            "without iat": lambda: good(iat=None),
            "without sub": lambda: good(sub=None),
            "without aud": lambda: good(aud=None),
            "without iss": lambda: good(iss=None),
            "another issuer": lambda: good(iss="https://other.example"),
            "issuer with a slash": lambda: good(iss=f"{ISSUER}/"),
            "another audience": lambda: good(aud="other"),
            "several audiences, none ours": lambda: good(aud=["other", "feeds"]),
            "sub is a number": lambda: _raw(self, {**claims, "sub": 7}),
            "sub is a list": lambda: _raw(self, {**claims, "sub": ["u1"]}),
            "exp is text": lambda: _raw(self, {**claims, "exp": "never"}),
            "exp is infinite": lambda: _raw(self, {**claims, "exp": float("inf")}),
            "exp is not a number": lambda: _raw(self, {**claims, "exp": float("nan")}),
            "exp is null": lambda: _raw(self, {**claims, "exp": None}),
            "none": lambda: jwt.encode(claims, "", "none", headers={"kid": self.key_id}),
            "nOnE": lambda: f"{_part({'alg': 'nOnE', 'kid': self.key_id})}.{payload}.",
            "HS256 with the public key": lambda: _hs256(claims, pem, self.key_id),
            "HS256 with nothing": lambda: _hs256(claims, b"", self.key_id),
            "another key of the same name": lambda: jwt.encode(
                claims, new_key(), "ES256", headers={"kid": self.key_id}
            ),
            "an unknown key": lambda: self.signed(claims, kid="k9"),
            "no kid": lambda: jwt.encode(claims, self.key, self.algorithm),
            "kid is a path": lambda: self.signed(claims, kid="../../etc/passwd"),
            "key in the header": lambda: _own_key(claims, self.key_id),
            "critical header": lambda: self.signed(claims, crit=["x-unknown"], **{"x-unknown": 1}),
            "other claims, same signature": lambda: f"{header}.{_part(other)}.{signature}",
            "signature cut off": lambda: f"{header}.{payload}.",
            "signature changed": lambda: f"{header}.{payload}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}",
            "two parts": lambda: f"{header}.{payload}",
            "payload is no object": lambda: _raw_text(self, b"[1]"),
            "payload is no JSON": lambda: _raw_text(self, b"{"),
            "no token": lambda: "x",
            "empty": lambda: "",
            "too long": lambda: good(filler="x" * MAX_TOKEN_CHARS),
            "an API key that nobody has": lambda: "feedkey.nobody.AAAA",
        }


def _raw(issuer: Issuer, claims: Mapping[str, Any]) -> str:
    """A signed token with claims that the library would not write."""
    return _raw_text(issuer, json.dumps(claims).encode())


def _raw_text(issuer: Issuer, payload: bytes) -> str:
    return jwt.api_jws.encode(payload, issuer.key, issuer.algorithm, headers={"kid": issuer.key_id})


def _hs256(claims: Mapping[str, Any], secret: bytes, key_id: str) -> str:
    signed = f"{_part({'alg': 'HS256', 'typ': 'JWT', 'kid': key_id})}.{_part(claims)}"
    return f"{signed}.{_base64(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def _own_key(claims: Mapping[str, Any], key_id: str) -> str:
    own = new_key()
    headers = {"kid": key_id, "jwk": public_jwk(own, key_id), "jku": "http://127.0.0.1:1/jwks.json"}
    return jwt.encode(dict(claims), own, "ES256", headers=headers)


def _part(content: Mapping[str, Any]) -> str:
    return _base64(json.dumps(content).encode())


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
