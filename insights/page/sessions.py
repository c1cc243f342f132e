"""Sessions of the page: signed cookies, of which nothing is kept but who has signed out."""

import secrets
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Final, TypeVar

import jwt
import msgspec
from jwt.exceptions import PyJWTError
from starlette.requests import Request
from starlette.responses import Response

from insights.domain.session import IDLE_S, LIFETIME_S, LOGIN_S, Session, is_over, renewed
from insights.page.sign_in_ports import Login
from insights.page.sign_outs import SignOuts
from runtime.secrets.secret_ring import SecretRing

ContentT = TypeVar("ContentT", Session, Login)

_ALGORITHM: Final = "HS256"
# A browser takes what is called so only from an encrypted connection, and lets no other host replace it.
_SECURE: Final = "__Host-"
_NAME: Final = "feed_session"
_LOGIN_NAME: Final = "feed_login"
_MAX_CHARS: Final = 4_096
_ID_BYTES: Final = 16
_CSRF_BYTES: Final = 32


class Sessions:
    """Begins, reads and ends sessions.

    Args:
        ring: The secrets that sign them.
        sign_outs: Those that were ended before their time.
        now: The wall time, Unix seconds.
    """

    def __init__(self, ring: SecretRing, sign_outs: SignOuts, now: Callable[[], float] = time.time) -> None:
        self._ring = ring
        self._sign_outs = sign_outs
        self._now = now

    def begin(
        self,
        actor: str,
        *,
        key: tuple[str, str] = ("", ""),
        scopes: tuple[str, ...] = (),
        lifetime_s: float = LIFETIME_S,
    ) -> Session:
        """Returns a new session.

        Args:
            actor: How the audit trail calls who has signed in.
            key: Name and stamp of his API key.
            scopes: What the issuer gave him.
            lifetime_s: How long it lasts at most, in seconds.
        """
        now = self._now()
        session_id, csrf = secrets.token_urlsafe(_ID_BYTES), secrets.token_urlsafe(_CSRF_BYTES)
        return Session(session_id, actor, csrf, now, now, now + lifetime_s, *key, scopes)

    def read(self, request: Request) -> Session | None:
        """Returns the session that a browser shows; None: none, or none that holds."""
        session = self._opened(request, _NAME, Session)
        if session is None or is_over(session, self._now()) or self._sign_outs.has(session.session_id):
            return None
        return session

    async def end(self, session: Session) -> None:
        """Makes copies of a session's cookie worthless."""
        await self._sign_outs.add(session.session_id, min(session.ends_time, self._now() + IDLE_S))

    def give(self, request: Request, response: Response, session: Session) -> None:
        """Hands the cookie of a session to a browser."""
        self._give(request, response, _NAME, self._sealed(session))

    def renew(self, request: Request, response: Response, session: Session) -> None:
        """Hands it out again when it was used; what a page asks for by itself is no use of it."""
        used = None if "hx-request" in request.headers else renewed(session, self._now())
        if used is not None:
            self.give(request, response, used)

    def take_back(self, request: Request, response: Response) -> None:
        """Takes the cookie away from a browser."""
        self._give(request, response, _NAME, "")

    def login_end(self) -> float:
        """Returns until when somebody who is sent to the issuer now may come back, Unix seconds."""
        return self._now() + LOGIN_S

    def give_login(self, request: Request, response: Response, login: Login | None) -> None:
        """Hands a browser the cookie of a sign-in that has begun at the issuer; None: takes it away."""
        self._give(request, response, _LOGIN_NAME, "" if login is None else self._sealed(login))

    def read_login(self, request: Request) -> Login | None:
        """Returns the sign-in that a browser has begun at the issuer; None: none, or too long ago."""
        login = self._opened(request, _LOGIN_NAME, Login)
        return login if login is not None and self._now() < login.ends_time else None

    def _give(self, request: Request, response: Response, name: str, value: str) -> None:
        """Hands out a cookie for this browser session; without a value, takes it away."""
        secure, age_s = is_secure(request), None if value else 0
        named = _called(request, name)
        response.set_cookie(named, value, age_s, path="/", secure=secure, httponly=True, samesite="lax")

    def _sealed(self, content: Session | Login) -> str:
        return jwt.encode(asdict(content), self._ring.secrets()[0], _ALGORITHM)

    def _opened(self, request: Request, name: str, kind: type[ContentT]) -> ContentT | None:
        cookie = request.cookies.get(_called(request, name), "")
        if not 0 < len(cookie) <= _MAX_CHARS:
            return None
        for secret in self._ring.secrets():
            try:
                return msgspec.convert(jwt.decode(cookie, secret, [_ALGORITHM]), kind)
            except (PyJWTError, msgspec.ValidationError):
                continue
        return None


def is_secure(request: Request) -> bool:
    """Says whether the browser's connection is encrypted, up to us or to what stands in front of us.

    Who claims that falsely harms only himself: his browser does not keep the cookie.
    """
    return request.url.scheme == "https" or request.headers.get("x-forwarded-proto", "") == "https"


def _called(request: Request, name: str) -> str:
    return f"{_SECURE}{name}" if is_secure(request) else name
