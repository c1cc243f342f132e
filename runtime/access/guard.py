"""Stands before every RPC and every route: who calls, and whether the policy lets him."""

import ipaddress
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from runtime.access.api_keys import ApiKeys, ApiKeysError, KeyBearers
from runtime.access.certificates import CertificateBearers, CertificatesError, parse
from runtime.access.policy import POLICY, Policy
from runtime.access.rules import PUBLIC, Caller, Rule, enter
from runtime.errors import PermissionDeniedError, RequestError, ThrottledError, UnauthenticatedError
from runtime.limits.rates import UNLIMITED, Limits, Rate
from runtime.settings import CommonSettings, SettingsError
from runtime.throttle import Throttle

if TYPE_CHECKING:
    from runtime.access.jwks import SigningKeys

_LOG = structlog.get_logger(__name__)

# Header and metadata key of the proof.
AUTHORIZATION: Final = "authorization"
_SCHEME: Final = "bearer"
# A JWKS file is looked at as often as this, in seconds.
_FILE_REFRESH_S: Final = 5.0


class Authenticator(Protocol):
    """Says who callers are."""

    async def start(self) -> None:
        """Begins to follow the keys."""

    async def stop(self) -> None:
        """Ends it."""

    async def caller(self, token: str) -> Caller:
        """Returns who bears a token; raises UnauthenticatedError."""


class PolicyError(Exception):
    """A process offers what the policy does not name; whoever added it adds a row to `runtime/access/policy.py`."""


class Gate:
    """Stands before one RPC or route.

    Args:
        rule: Who may pass.
        authenticator: Says who comes; None: nobody asks.
        limits: Says how often one may come.
        certificates: Says so of who comes without a token; None: nobody does.
    """

    def __init__(
        self,
        rule: Rule,
        authenticator: Authenticator | None,
        limits: Limits,
        certificates: CertificateBearers | None = None,
    ) -> None:
        self._rule = rule
        self._authenticator = authenticator
        self._limits = limits
        self._certificates = certificates

    async def enter(self, address: str, given: Sequence[str], shown: Callable[[], Iterable[str]] = tuple) -> str:
        """Lets a request in.

        Args:
            address: Where it comes from, as `limits.address_of` returns it.
            given: Its `authorization` headers.
            shown: Returns the names in the certificate of its connection.

        Returns:
            Where each of its messages names its user; empty: nothing is to be looked at.

        Raises:
            ThrottledError: Too many come from there, or from who calls.
            UnauthenticatedError: It is not known who calls.
            PermissionDeniedError: He may not.
        """
        # Before anybody asks who it is: to verify a made-up token costs 0.3 ms.
        self.admit_peer(address)
        if self._authenticator is None:
            return self.let_in(None)
        return self.let_in(await self._authenticator.caller(_token(given)) if given else self._of_connection(shown))

    def admit_peer(self, address: str) -> None:
        """Raises ThrottledError when too many requests come from an address."""
        self._limits.admit_peer(address)

    def let_in(self, caller: Caller | None) -> str:
        """Lets somebody in of whom it is known who he is, or that nobody asks; the same as `enter`, but for that."""
        enter(self._rule, caller, self._limits.admit_user)
        return self._rule.user_ids or ""

    def _of_connection(self, shown: Callable[[], Iterable[str]]) -> Caller:
        caller = self._certificates.caller(shown()) if self._certificates else None
        if caller is None:
            raise UnauthenticatedError("TOKEN_MISSING", f"this needs a bearer token in `{AUTHORIZATION}`")
        return caller


class Guard:
    """Holds a process to the policy.

    Args:
        authenticator: Says who callers are; None: nobody asks, everybody may do everything.
        policy: Who may call what.
        limits: How often one may call; None: as often as one likes.
        anywhere: Whether it may listen beyond loopback although nobody asks; for what holds nothing real.
        certificates: Says who callers without tokens are; None: nobody.
    """

    def __init__(
        self,
        authenticator: Authenticator | None = None,
        policy: Policy = POLICY,
        limits: Limits | None = None,
        *,
        anywhere: bool = False,
        certificates: CertificateBearers | None = None,
    ) -> None:
        self._authenticator = authenticator
        self._policy = policy
        self._limits = limits or Limits(UNLIMITED, UNLIMITED)
        self._anywhere = anywhere
        self._certificates = certificates
        self._denials: Throttle[str] = Throttle()
        self._throttled: Callable[[str], object] = str

    @property
    def is_open(self) -> bool:
        """Whether nobody is asked who he is."""
        return self._authenticator is None

    def require_safe(self, names: Iterable[str], host: str) -> None:
        """Refuses to offer what must not be offered.

        Args:
            names: The RPCs, as `/package.Service/Method`, and the routes, as `GET /path`.
            host: Address to listen on.

        Raises:
            PolicyError: The policy does not name one.
            SettingsError: It would be open to other machines.
        """
        offered = set(names)
        missing = sorted(offered - self._policy.keys())
        if missing:
            raise PolicyError(f"runtime/access/policy.py has no row for {', '.join(missing)}")
        if self._authenticator is not None or all(self._policy[name] == PUBLIC for name in offered):
            return
        if self._anywhere:
            return
        if not _is_loopback(host):
            text = f"FEED_AUTH=off is for loopback only, not {host}: anybody could act as anybody; set FEED_AUTH"
            raise SettingsError([text])
        _LOG.warning("access.open", host=host, meaning="FEED_AUTH=off: who is on this machine may act as anybody")

    def gate(self, name: str) -> Gate | None:
        """Returns what stands before an RPC or a route; None: everybody may.

        Raises:
            PolicyError: The policy does not name it.
        """
        rule = self._policy.get(name)
        if rule is None:
            raise PolicyError(f"runtime/access/policy.py has no row for {name}")
        return None if rule == PUBLIC else Gate(rule, self._authenticator, self._limits, self._certificates)

    def watch(self, throttled: Callable[[str], None]) -> None:
        """Tells from now on of each refused request of a caller who calls too often: the kind of limit."""
        self._throttled = throttled

    def tell_refused(self, name: str, error: RequestError) -> None:
        """Tells of a refused request, if it is one of those that somebody watches.

        Args:
            name: The RPC or route.
            error: Why.
        """
        if isinstance(error, PermissionDeniedError):
            self._tell_denied(name, error)
        elif isinstance(error, ThrottledError):
            self._throttled(error.kind)

    def _tell_denied(self, name: str, error: PermissionDeniedError) -> None:
        """Writes the audit line of a refused caller, at most one a second for each RPC and route."""
        held_back = self._denials.admit(name, name, time.monotonic())
        if held_back is not None:
            _LOG.warning("access.denied", what=name, caller=error.caller, reason=error.reason, held_back=held_back)

    async def start(self) -> None:
        """Begins to follow the keys."""
        if self._authenticator is not None:
            await self._authenticator.start()

    async def stop(self) -> None:
        """Ends it."""
        if self._authenticator is not None:
            await self._authenticator.stop()


def guard_of(settings: CommonSettings) -> Guard:
    """Returns the guard that the settings ask for.

    Raises:
        SettingsError: The file of the API keys cannot be used.
    """
    limits = Limits(
        Rate(settings.limit_user_rps, settings.limit_user_burst),
        Rate(settings.limit_peer_rps, settings.limit_peer_burst),
    )
    if settings.auth == "off":
        return Guard(limits=limits)
    keys = KeyBearers(api_keys_of(settings))
    try:
        certificates = parse(settings.auth_certificates) if settings.auth_certificates else None
    except CertificatesError as error:
        raise SettingsError([f"FEED_AUTH_CERTIFICATES: {error}"]) from error
    authenticator = keys if settings.auth == "keys" else _bearers(settings, keys)
    return Guard(authenticator, limits=limits, certificates=certificates)


def api_keys_of(settings: CommonSettings) -> ApiKeys:
    """Returns the API keys; raises SettingsError when their file cannot be used."""
    try:
        return ApiKeys(settings.api_keys_path)
    except ApiKeysError as error:
        raise SettingsError([f"FEED_AUTH_API_KEYS_FILE: {error}"]) from error


def signing_keys_of(settings: CommonSettings) -> "SigningKeys":
    """Returns the issuer's keys, of FEED_AUTH=jwt."""
    from runtime.access.jwks import SigningKeys, file_fetch, url_fetch  # noqa: PLC0415

    if settings.auth_jwks_file:
        return SigningKeys(file_fetch(Path(settings.auth_jwks_file)), _FILE_REFRESH_S)
    return SigningKeys(url_fetch(settings.auth_jwks_url), settings.auth_jwks_refresh_s)


def _bearers(settings: CommonSettings, api_keys: KeyBearers) -> Authenticator:
    # Only those who need the library pay for its import.
    from runtime.access.authentication import Bearers  # noqa: PLC0415
    from runtime.access.tokens import TokenPolicy, Tokens  # noqa: PLC0415

    keys = signing_keys_of(settings)
    policy = TokenPolicy(settings.auth_issuer, settings.auth_audience, settings.auth_leeway_s)
    return Bearers(keys, Tokens(keys, policy), api_keys)


def _token(given: Sequence[str]) -> str:
    scheme, _, token = given[0].partition(" ")
    if len(given) > 1 or scheme.lower() != _SCHEME:
        raise UnauthenticatedError("TOKEN_INVALID", f"`{AUTHORIZATION}` must be `Bearer TOKEN`, once")
    return token


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
