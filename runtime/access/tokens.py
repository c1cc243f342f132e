"""Verifies JSON Web Tokens, each once, and says who their bearers are."""

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import jwt
from jwt.exceptions import ExpiredSignatureError, PyJWTError

from runtime.access.jwks import ALGORITHMS, SigningKeys
from runtime.access.rules import Caller
from runtime.errors import UnauthenticatedError, UnavailableError

MAX_TOKEN_CHARS: Final = 4_096
# Verified tokens that are remembered: some 4 MB.
MAX_REMEMBERED: Final = 10_000
_REQUIRED: Final = ("exp", "iat", "sub", "aud", "iss")
_KEYS_RETRY_S: Final = 1.0

# Users are told apart in the log without their ids.
_PSEUDONYM_KEY: Final = secrets.token_bytes(16)


@dataclass(frozen=True, slots=True)
class TokenPolicy:
    """Which tokens are good.

    Args:
        issuer: Who must have issued them (`iss`).
        audience: For whom they must be meant (`aud`).
        leeway_s: How far clocks may differ, in seconds.
    """

    issuer: str
    audience: str
    leeway_s: float = 30.0


class _Remembered(NamedTuple):
    caller: Caller
    expires_time: float


class Tokens:
    """Says who bears a token.

    Args:
        keys: The issuer's keys.
        policy: Which tokens are good.
        now: The wall time, Unix seconds.
    """

    def __init__(self, keys: SigningKeys, policy: TokenPolicy, now: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._policy = policy
        self._now = now
        self._remembered: OrderedDict[bytes, _Remembered] = OrderedDict()
        self._generation = keys.generation

    async def caller(self, token: str) -> Caller:
        """Returns who bears a token.

        Raises:
            UnauthenticatedError: When it is not valid.
            UnavailableError: When no keys are known yet.
        """
        digest = hashlib.sha256(token.encode()).digest()
        return self._recall(digest) or await self._verified(token, digest)

    def _recall(self, digest: bytes) -> Caller | None:
        if self._generation != self._keys.generation:
            # A key that is not there any more vouches for nothing that it signed.
            self._remembered.clear()
            self._generation = self._keys.generation
        found = self._remembered.get(digest)
        if found is None or found.expires_time <= self._now():
            return None
        self._remembered.move_to_end(digest)
        return found.caller

    async def _verified(self, token: str, digest: bytes) -> Caller:
        claims = await self.claims(token)
        caller = _caller(claims)
        self._remembered[digest] = _Remembered(caller, float(claims["exp"]) + self._policy.leeway_s)
        if len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)
        return caller

    async def claims(self, token: str) -> Mapping[str, Any]:
        """Returns what a token claims, without remembering it; raises as `caller` does."""
        if len(token) > MAX_TOKEN_CHARS:
            raise _invalid()
        try:
            return await self._claims(token)
        except ExpiredSignatureError as error:
            raise UnauthenticatedError("TOKEN_EXPIRED", "the bearer token has expired") from error
        except (PyJWTError, ValueError, OverflowError) as error:
            raise _invalid() from error

    async def _claims(self, token: str) -> Mapping[str, Any]:
        key_id = jwt.get_unverified_header(token).get("kid")
        key = await self._keys.find(key_id) if isinstance(key_id, str) else None
        if key is None:
            if not self._keys.keys:
                raise UnavailableError("KEYS_MISSING", "tokens cannot be verified yet", retry_after_s=_KEYS_RETRY_S)
            raise _invalid()
        policy = self._policy
        claims: Mapping[str, Any] = jwt.decode(
            token,
            key,
            algorithms=ALGORITHMS,
            audience=policy.audience,
            issuer=policy.issuer,
            leeway=policy.leeway_s,
            options={"require": list(_REQUIRED), "enforce_minimum_key_length": True},
        )
        return claims


def _caller(claims: Mapping[str, Any]) -> Caller:
    subject, scope = claims["sub"], claims.get("scope", "")
    scopes = frozenset(scope.split()) if isinstance(scope, str) else frozenset()
    return Caller(f"token:{_pseudonym(subject)}", subject, scopes)


def _pseudonym(subject: str) -> str:
    return hashlib.blake2b(subject.encode(), digest_size=8, key=_PSEUDONYM_KEY).hexdigest()


def _invalid() -> UnauthenticatedError:
    return UnauthenticatedError("TOKEN_INVALID", "the bearer token is not valid")
