"""Signing in and out, and who has signed in: by an API key, and by the issuer where there is one."""

import hmac
import re
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Final, NamedTuple

import structlog
from starlette.requests import Request
from starlette.responses import Response

from insights.domain.session import READ_SCOPE, Session, role
from insights.page.forms import given_form
from insights.page.sessions import Sessions, is_secure
from insights.page.views import Door, SeeOther, View
from runtime.access.api_keys import KEY_PREFIX, ApiKey, ApiKeys
from runtime.access.rules import ADMIN, Caller, recognise
from runtime.errors import RequestError, UnauthenticatedError
from runtime.throttle import Throttle

_LOG = structlog.get_logger(__name__)

PATH: Final = "/sign-in"
OUT_PATH: Final = "/sign-out"
_HOME: Final = "/"
# With a second slash it would be another host, and browsers take a backslash for one.
_LOCAL: Final = re.compile(r"/(?:[^/\\][^\\]*)?")
_MOST_PATH_CHARS: Final = 1_024
# Attempts to sign in that are looked at in any such time, in seconds, whoever makes them.
_ATTEMPTS: Final = 5
_ATTEMPTS_S: Final = 1.0
_STAMP_CHARS: Final = 16
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})

_WRONG_KEY: Final = "This key is not valid."
_NO_PAGES: Final = f"This key opens no page: it needs the scope {READ_SCOPE}."
_TOO_MANY: Final = "Too many try to sign in at once. Try again in a second."
_PLAIN: Final = "This page was asked for over a connection that others can read. Sign in over https."
_NOBODY: Final = Caller("", "", frozenset())


class FormTokenError(RequestError):
    """A form that is not of the session that sends it; nothing was done."""

    http_status = HTTPStatus.FORBIDDEN


class Visitor(NamedTuple):
    """Who looks at a page, as it shows him.

    Args:
        name: How he is called.
        role: What he is.
        csrf: What his forms carry.
    """

    name: str
    role: str
    csrf: str


class SignIn:
    """The doors of signing in and out.

    Args:
        keys: The API keys.
        sessions: Who has signed in.
        issuer: Where people sign in without a key; empty: nowhere.
        monotonic: The clock of attempts.
    """

    def __init__(
        self,
        keys: ApiKeys,
        sessions: Sessions,
        issuer: str = "",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sessions = sessions
        self._keys = keys
        self._issuer = issuer
        self._monotonic = monotonic
        self._attempts: deque[float] = deque([float("-inf")] * _ATTEMPTS, maxlen=_ATTEMPTS)
        self._refusals: Throttle[str] = Throttle()
        self.doors: Sequence[Door] = (
            Door(PATH, self._ask),
            Door(PATH, self._take, "POST"),
            Door(OUT_PATH, self._leave, "POST"),
        )

    def caller(self, request: Request) -> Caller:
        """Returns who has signed in; raises UnauthenticatedError when nobody has, or not any more."""
        found = self._recognised(request)
        if found is None:
            raise UnauthenticatedError("TOKEN_MISSING", "nobody has signed in, or the session is over")
        return found

    def visitor(self, request: Request) -> Visitor | None:
        """Returns who looks at a page; None: nobody who has signed in."""
        session, caller = _known(request)
        if session is None or caller is None:
            return None
        return Visitor(session.actor, role(caller.scopes), session.csrf)

    def look(self, request: Request) -> None:
        """Finds out who looks at what everybody may see."""
        recognise(self._recognised(request) or _NOBODY)

    def checked(self, request: Request, form: Mapping[str, str]) -> Mapping[str, str]:
        """Holds a form to the session that sends it.

        Returns:
            The form, with who has signed in as who does what it says. Who comes with a bearer token, which no other
            site can make a browser send, has no session, and says himself who he is.

        Raises:
            FormTokenError: It is of another session, or of none.
        """
        session, _ = _known(request)
        if session is None:
            return form
        if not hmac.compare_digest(form.get("csrf", "").encode(), session.csrf.encode()):
            raise FormTokenError("FORM_TOKEN", "This form is of another session. Nothing was done; load the page anew.")
        return {**form, "adminId": session.actor}

    def keep(self, request: Request, response: Response) -> None:
        """Hands the browser the cookie that it is to have from now on."""
        session, _ = _known(request)
        if hasattr(request.state, "begun"):
            self.sessions.give(request, response, request.state.begun)
            if self.sessions.read_login(request) is not None:
                self.sessions.give_login(request, response, None)
        elif hasattr(request.state, "login"):
            self.sessions.give_login(request, response, request.state.login)
        elif hasattr(request.state, "ended"):
            self.sessions.take_back(request, response)
        elif session is not None:
            self.sessions.renew(request, response, session)

    def begin(self, request: Request, session: Session, caller: Caller) -> None:
        """Lets somebody in who has proven who he is."""
        request.state.begun = session
        _LOG.info("page.signed_in", caller=caller.name, role=role(caller.scopes))

    async def _ask(self, request: Request) -> View:
        self.look(request)
        return self.form(request, request.query_params.get("to", ""))

    async def _take(self, request: Request) -> View | SeeOther:
        form = given_form(request)
        to = form.get("to", "")
        turned_away = self.turned_away(request, to)
        if turned_away is not None:
            return turned_away
        caller = self._keys.caller(form.get("key", ""))
        if caller is None or not caller.scopes & {READ_SCOPE, ADMIN}:
            self.tell_refused(caller.name if caller else "", "SCOPE_MISSING" if caller else "KEY_INVALID")
            return self.form(request, to, _WRONG_KEY if caller is None else _NO_PAGES)
        key = self._keys.find(form["key"].removeprefix(KEY_PREFIX).partition(".")[0])
        if key is None:
            return self.form(request, to, _WRONG_KEY)
        self.begin(request, self.sessions.begin(caller.name, key=(key.key_id, _stamp(key))), caller)
        return SeeOther(local(to))

    async def _leave(self, request: Request) -> SeeOther:
        session, _ = _known(request)
        if session is not None:
            await self.sessions.end(session)
            _LOG.info("page.signed_out", caller=session.actor)
        request.state.ended = True
        return SeeOther(PATH, "out")

    def _recognised(self, request: Request) -> Caller | None:
        session = self.sessions.read(request)
        caller = self._caller(session) if session is not None else None
        if caller is not None:
            request.state.session, request.state.caller = session, caller
        return caller

    def _caller(self, session: Session) -> Caller | None:
        """Returns what somebody may now; None: the key that he showed is gone."""
        if not session.key_id:
            return Caller(session.actor, "", frozenset(session.scopes))
        key = self._keys.find(session.key_id)
        if key is None or _stamp(key) != session.key_stamp:
            return None
        return Caller(session.actor, "", frozenset(key.scopes))

    def turned_away(self, request: Request, to: str) -> View | None:
        """Returns the form after an attempt that is not looked at; None: it is, and counts."""
        if not _is_safe(request):
            return self.form(request, to)
        now = self._monotonic()
        if now - self._attempts[0] < _ATTEMPTS_S:
            return self.form(request, to, _TOO_MANY, HTTPStatus.TOO_MANY_REQUESTS)
        self._attempts.append(now)
        return None

    def tell_refused(self, name: str, reason: str) -> None:
        """Writes the audit line of somebody who may not sign in, at most one a second."""
        held_back = self._refusals.admit(PATH, PATH, self._monotonic())
        if held_back is not None:
            _LOG.warning("page.sign_in_refused", caller=name, reason=reason, held_back=held_back)

    def form(
        self, request: Request, to: str, error: str = "", status: HTTPStatus = HTTPStatus.UNPROCESSABLE_ENTITY
    ) -> View:
        """Returns the form.

        Args:
            request: Who asks for it.
            to: Where it leads to.
            error: Why it is shown again; empty: for the first time.
            status: What the answer is then.
        """
        values = {
            "to": local(to),
            "issuer": self._issuer,
            "error": error,
            "done": "You have signed out." if request.query_params.get("done") == "out" else None,
            "plain": "" if _is_safe(request) else _PLAIN,
        }
        return View("sign_in.html", values, int(status if error else HTTPStatus.OK))


def local(path: str) -> str:
    """Returns a path of this site; of anything else, that of the first page."""
    return path if len(path) <= _MOST_PATH_CHARS and path.isprintable() and _LOCAL.fullmatch(path) else _HOME


def _known(request: Request) -> tuple[Session | None, Caller | None]:
    return getattr(request.state, "session", None), getattr(request.state, "caller", None)


def _is_safe(request: Request) -> bool:
    """Whether nobody in between can read what is typed."""
    return is_secure(request) or request.url.hostname in _LOOPBACK


def _stamp(key: ApiKey) -> str:
    return key.sha256[:_STAMP_CHARS]
