"""Signing in at the issuer: there, and back again."""

import hmac
import secrets
from collections.abc import Sequence
from typing import Final

import structlog
from starlette.requests import Request

from insights.domain.session import ISSUED_LIFETIME_S, READ_SCOPE
from insights.page.sessions import is_secure
from insights.page.sign_in import PATH, SignIn, local
from insights.page.sign_in_ports import Issuer, IssuerError, Login
from insights.page.views import Door, SeeOther, View
from runtime.access.rules import ADMIN, Caller

_LOG = structlog.get_logger(__name__)

OUT_PATH: Final = f"{PATH}/issuer"
BACK_PATH: Final = f"{PATH}/issuer/back"
_SECRET_BYTES: Final = 32
_MOST_CODE_CHARS: Final = 2_048

_AWAY: Final = "The issuer cannot be used now. Try again in a moment, or sign in with a key."
_LOST: Final = "This sign-in was not begun in this browser, or took too long. Begin it again."
_REFUSED: Final = "The issuer did not let you in."
_NO_PAGES: Final = f"The issuer gives you no page: that needs the scope {READ_SCOPE}."


class IssuedSignIn:
    """The doors of signing in at the issuer.

    Args:
        sign_in: The doors of signing in by a key.
        issuer: The issuer.
    """

    def __init__(self, sign_in: SignIn, issuer: Issuer) -> None:
        self._sign_in = sign_in
        self._issuer = issuer
        self.doors: Sequence[Door] = (Door(OUT_PATH, self._send), Door(BACK_PATH, self._take))

    async def _send(self, request: Request) -> View | SeeOther:
        to = local(request.query_params.get("to", ""))
        turned_away = self._sign_in.turned_away(request, to)
        if turned_away is not None:
            return turned_away
        state, nonce, verifier = (secrets.token_urlsafe(_SECRET_BYTES) for _ in range(3))
        login = Login(state, nonce, verifier, to, self._sign_in.sessions.login_end())
        try:
            address = await self._issuer.address(login, _back(request))
        except IssuerError as error:
            return self._failed(request, to, error)
        request.state.login = login
        return SeeOther(address)

    async def _take(self, request: Request) -> View | SeeOther:
        login = self._sign_in.sessions.read_login(request)
        given, code = request.query_params.get("state", ""), request.query_params.get("code", "")
        if login is None or not hmac.compare_digest(given.encode(), login.state.encode()):
            return self._sign_in.form(request, "", _LOST)
        turned_away = self._sign_in.turned_away(request, login.to)
        if turned_away is not None:
            return turned_away
        if not 0 < len(code) <= _MOST_CODE_CHARS:
            return self._sign_in.form(request, login.to, _REFUSED)
        try:
            name, scopes = await self._issuer.redeem(code, login, _back(request))
        except IssuerError as error:
            return self._failed(request, login.to, error)
        caller = Caller(name, "", scopes)
        if not scopes & {READ_SCOPE, ADMIN}:
            self._sign_in.tell_refused(name, "SCOPE_MISSING")
            return self._sign_in.form(request, login.to, _NO_PAGES)
        session = self._sign_in.sessions.begin(name, scopes=tuple(sorted(scopes)), lifetime_s=ISSUED_LIFETIME_S)
        self._sign_in.begin(request, session, caller)
        return SeeOther(login.to)

    def _failed(self, request: Request, to: str, error: IssuerError) -> View:
        _LOG.warning("page.issuer_failed", error=str(error))
        return self._sign_in.form(request, to, _AWAY)


def _back(request: Request) -> str:
    """Returns where the issuer sends people back to; it does so only when that was told to it beforehand."""
    return f"{'https' if is_secure(request) else 'http'}://{request.url.netloc}{BACK_PATH}"
