"""Who signs in at the issuer: the authorization code flow (OpenID Connect Core 3.1) with PKCE (RFC 7636)."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

import structlog

from insights.page.sign_in_ports import Issued, IssuerError, Login
from runtime.access.jwks import KeySetError, SigningKeys, url_fetch
from runtime.access.tokens import TokenPolicy, Tokens
from runtime.errors import UnauthenticatedError, UnavailableError

_LOG = structlog.get_logger(__name__)

# How long what the issuer says of itself is believed, in seconds.
_DISCOVERY_S: Final = 3_600.0
_SCOPES: Final = "openid profile email"
_NAMES: Final = ("preferred_username", "email", "name")
# The audit trail holds 128 characters; a name is cut, a subject never.
_NAME_CHARS: Final = 60
_SUBJECT_CHARS: Final = 64


@dataclass(frozen=True, slots=True)
class Client:
    """What the page is to the issuer.

    Args:
        issuer: The issuer's URL.
        client_id: The page's name there.
        secret: What it proves that with; empty: PKCE alone.
        audience: For whom access tokens must be meant.
        leeway_s: How far clocks may differ, in seconds.
    """

    issuer: str
    client_id: str
    secret: str
    audience: str
    leeway_s: float


class OidcIssuer:
    """The port `Issuer`.

    Args:
        client: What the page is there.
        keys: The issuer's keys; followed as long as this runs.
        wanted: The scopes of the page.
        monotonic: The clock.
    """

    def __init__(
        self,
        client: Client,
        keys: SigningKeys,
        wanted: frozenset[str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._keys = keys
        self._wanted = wanted
        self._monotonic = monotonic
        self._identities = Tokens(keys, TokenPolicy(client.issuer, client.client_id, client.leeway_s))
        self._access = Tokens(keys, TokenPolicy(client.issuer, client.audience, client.leeway_s))
        self._discovered: tuple[float, Mapping[str, Any]] | None = None

    async def run(self) -> None:
        """Follows the issuer's keys until it is cancelled."""
        await self._keys.start()
        try:
            await asyncio.Event().wait()
        finally:
            await self._keys.stop()

    async def address(self, login: Login, back: str) -> str:
        """Returns where somebody signs in."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(login.verifier.encode()).digest()).rstrip(b"=")
        asked = {
            "response_type": "code",
            "client_id": self._client.client_id,
            "redirect_uri": back,
            "scope": " ".join([_SCOPES, *sorted(self._wanted)]),
            "resource": self._client.audience,
            "state": login.state,
            "nonce": login.nonce,
            "code_challenge": challenge.decode(),
            "code_challenge_method": "S256",
        }
        address = str((await self._discovery())["authorization_endpoint"])
        return f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}"

    async def redeem(self, code: str, login: Login, back: str) -> Issued:
        """Returns who has signed in."""
        asked = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": back,
            "client_id": self._client.client_id,
            "code_verifier": login.verifier,
        }
        headers = {"accept": "application/json", **self._proof()}
        address = str((await self._discovery())["token_endpoint"])
        given = await _read(urllib.request.Request(address, urlencode(asked).encode(), headers))  # noqa: S310  # of `_discovery`
        try:
            identity = await self._identities.claims(str(given.get("id_token", "")))
            caller = await self._access.caller(str(given.get("access_token", "")))
        except (UnauthenticatedError, UnavailableError) as error:
            raise IssuerError(f"its tokens do not hold: {error.reason}") from error
        self._check(identity, caller.user_id, login)
        return Issued(_name(identity), caller.scopes & (self._wanted | {"admin"}))

    def _check(self, identity: Mapping[str, Any], subject: str, login: Login) -> None:
        if not hmac.compare_digest(str(identity.get("nonce", "")).encode(), login.nonce.encode()):
            raise IssuerError("its identity token answers another request")
        if identity.get("azp", self._client.client_id) != self._client.client_id:
            raise IssuerError("its identity token is for another client")
        if identity["sub"] != subject or len(subject) > _SUBJECT_CHARS:
            raise IssuerError("its tokens are of two people, or of one with too long a name")

    def _proof(self) -> Mapping[str, str]:
        if not self._client.secret:
            return {}
        pair = f"{quote_plus(self._client.client_id)}:{quote_plus(self._client.secret)}"
        return {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}

    async def _discovery(self) -> Mapping[str, Any]:
        now = self._monotonic()
        if self._discovered is None or now - self._discovered[0] >= _DISCOVERY_S:
            found = await _read(f"{self._client.issuer.rstrip('/')}/.well-known/openid-configuration")
            addresses = [found.get("authorization_endpoint"), found.get("token_endpoint")]
            if found.get("issuer") != self._client.issuer or not all(is_address(each) for each in addresses):
                raise IssuerError("what it says of itself is of another issuer, or lacks an address over https")
            self._discovered = (now, found)
        return self._discovered[1]


def is_address(text: object) -> bool:
    """Says whether secrets may be sent there: over https, or on this machine."""
    safe = ("https://", "http://127.0.0.1:", "http://localhost:", "http://[::1]:")
    return isinstance(text, str) and text.startswith(safe)


async def _read(address: str | urllib.request.Request) -> Mapping[str, Any]:
    try:
        found = json.loads(await asyncio.to_thread(url_fetch(address)))
    except (KeySetError, ValueError, RecursionError) as error:
        raise IssuerError(f"it does not answer as it should: {error}") from error
    if not isinstance(found, dict):
        raise IssuerError("it does not answer as it should")
    return found


def _name(identity: Mapping[str, Any]) -> str:
    """Returns what the audit trail calls somebody: by the name he may have chosen, and by the one that stays."""
    chosen = next((each for name in _NAMES if isinstance(each := identity.get(name), str) and each), "")
    shown = "".join(each for each in chosen if each.isprintable())[:_NAME_CHARS]
    return f"{shown} ({identity['sub']})".strip()
