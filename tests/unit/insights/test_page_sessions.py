"""Cookies of sessions, and the forms that carry their tokens."""

from importlib.resources import files
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from insights.domain.session import IDLE_S
from insights.page.sessions import Sessions
from insights.page.sign_outs import SignOuts
from runtime.secrets.secret_ring import SecretRing
from tests.sign_outs import KeptInMemory


async def test_nobody_is_let_in_before_it_is_known_who_has_signed_out():
    kept = KeptInMemory()
    kept.rows = {"s1"}
    sign_outs = SignOuts(kept, lambda: 0.0)
    assert sign_outs.has("s2")
    await sign_outs.look()
    assert (sign_outs.has("s1"), sign_outs.has("s2")) == (True, False)


async def test_who_signs_out_while_the_database_is_away_is_out_and_others_hear_of_it_later():
    kept = KeptInMemory()
    here, there = SignOuts(kept, lambda: 0.0), SignOuts(kept, lambda: 0.0)
    kept.is_away = True
    await here.add("s1", 60.0)
    await there.look()
    assert (here.has("s1"), there.has("s1"), there.has("s2")) == (True, False, False)
    kept.is_away = False
    await here.look()
    await there.look()
    assert there.has("s1")


async def test_a_session_that_is_over_is_forgotten():
    clock = [0.0]
    kept = KeptInMemory()
    sign_outs = SignOuts(kept, lambda: clock[0])
    await sign_outs.add("s1", 60.0)
    kept.rows.clear()
    clock[0] = 60.0
    await sign_outs.look()
    assert not sign_outs.has("s1")


async def test_what_a_page_asks_for_by_itself_keeps_no_session_alive(tmp_path: Path):
    """A person's request is told to the cookie, that of a page which looks again is not; the end stays where it is."""
    clock = [1_000.0]
    sign_outs = SignOuts(KeptInMemory())
    await sign_outs.look()
    sessions = Sessions(SecretRing(tmp_path / "session.key"), sign_outs, lambda: clock[0])

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
