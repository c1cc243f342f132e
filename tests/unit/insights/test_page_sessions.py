"""Cookies of sessions, and the forms that carry their tokens."""

from importlib.resources import files
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from insights.domain.session import IDLE_S
from insights.page.sessions import Sessions
from runtime.secrets.secret_ring import SecretRing


def test_what_a_page_asks_for_by_itself_keeps_no_session_alive(tmp_path: Path):
    """A person's request is told to the cookie, that of a page which looks again is not; the end stays where it is."""
    clock = [1_000.0]
    sessions = Sessions(SecretRing(tmp_path / "session.key"), lambda: clock[0])

    def asked(cookie: str, *headers: tuple[bytes, bytes]) -> tuple[Request, Response]:
        given = [(b"host", b"127.0.0.1"), (b"cookie", cookie.encode()), *headers]
        return Request({"type": "http", "scheme": "http", "path": "/", "headers": given}), Response()

    request, response = asked("")
    begun = sessions.begin("key:ann", key=("ann", "stamp"))
    sessions.give(request, response, begun)
    cookie = response.headers["set-cookie"].partition(";")[0]
    clock[0] += IDLE_S - 60
    for headers, is_renewed in (((b"hx-request", b"true"),), False), ((), True):
        request, response = asked(cookie, *headers)
        known = sessions.read(request)
        assert known is not None
        sessions.renew(request, response, known)
        assert ("set-cookie" in response.headers) is is_renewed
    clock[0] += 60
    assert sessions.read(asked(cookie)[0]) is None
    renewed = sessions.read(asked(response.headers["set-cookie"].partition(";")[0])[0])
    assert renewed is not None
    assert renewed.ends_time == begun.ends_time


def test_every_form_carries_the_token_of_the_session():
    templates = list((files("insights.page") / "templates").iterdir())
    posting = {each.name: each.read_text() for each in templates if 'method="post"' in each.read_text()}
    # The first one is asked for before there is a session, the second stands on each page.
    assert {name for name, text in posting.items() if '{% include "signed.html" %}' not in text} == {
        "sign_in.html",
        "base.html",
    }
    assert 'name="csrf"' in posting["base.html"]
