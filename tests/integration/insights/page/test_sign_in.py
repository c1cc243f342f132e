"""Signing in: who may look and change, from where forms are taken, when a session ends, and what the log tells."""

import json
import re
from collections.abc import Iterator, MutableMapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
import structlog

from insights.domain.session import IDLE_S
from runtime.access import api_keys
from runtime.process import Service
from runtime.secrets import secret_ring
from storage import audit
from storage.audit import Action, Actor, Change, Door, Subject
from storage.database import Database
from storage.tables import page_sign_outs
from tests.http import Answer, call
from tests.integration.insights.page.conftest import Start
from tests.polling import until
from trainer.adapters.bundle_store import BundleStore

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

HTML: Final = {"accept": "text/html"}
FORM: Final = {**HTML, "sec-fetch-site": "same-origin", "content-type": "application/x-www-form-urlencoded"}
READ: Final = "insights:read"
ROLES: Final = {
    "viewer": [READ],
    "editor": [READ, "corrections:write", "experiments:write"],
    "admin": [READ, "models:promote"],
}


class Person:
    """Somebody with a browser: his cookie, and what his forms carry."""

    def __init__(self, site: Service, **headers: str) -> None:
        self._site = site
        self._headers = headers
        self.cookie = ""

    async def get(self, path: str, **headers: str) -> Answer:
        return self._taken(await call(self._site.http_port, "GET", path, headers=self._sent({**HTML, **headers})))

    async def post(self, path: str, fields: dict[str, str], **headers: str) -> Answer:
        body, sent = urlencode(fields).encode(), self._sent({**FORM, **headers})
        return self._taken(await call(self._site.http_port, "POST", path, body, sent))

    async def sign_in(self, key: str, to: str = "") -> Answer:
        return await self.post("/sign-in", {"key": key, "to": to})

    async def token(self) -> str:
        found = re.search(r'name="csrf" value="([^"]+)"', (await self.get("/models")).text)
        assert found
        return found[1]

    async def serve(self, token: str, **headers: str) -> int:
        fields = {"instead_of": "m2", "csrf": token, "adminId": "somebody else"}
        return (await self.post("/models/m3/serve", fields, **headers)).status

    def _sent(self, headers: dict[str, str]) -> dict[str, str]:
        return {**self._headers, **headers, **({"cookie": self.cookie} if self.cookie else {})}

    def _taken(self, answer: Answer) -> Answer:
        given = answer.headers.get("set-cookie")
        if given:
            self.cookie = "" if "Max-Age=0" in given else given.partition(";")[0]
        return answer


@pytest.fixture
def keys_path(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "api_keys.json"


@pytest.fixture
def keys(keys_path: Path) -> dict[str, str]:
    """A key of each role, and one that opens no page."""
    made = {role: api_keys.create(keys_path, role, scopes) for role, scopes in ROLES.items()}
    return made | {"ingest": api_keys.create(keys_path, "ingest", ["interactions:write:any"])}


@pytest.fixture
async def site(start: Start, store: BundleStore, keys: dict[str, str]) -> Service:
    del store, keys
    return await start(FEED_AUTH="keys")


@pytest.fixture
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    with structlog.testing.capture_logs() as entries:
        yield entries


async def changes(database_url: str) -> list[Change]:
    database = Database(database_url)
    async with database.read() as connection:
        found = await audit.list_newest(connection, 10)
    await database.close()
    return [each.change for each in found]


async def test_who_is_not_known_is_led_to_the_form_and_from_it_to_where_he_wanted(site: Service, keys: dict[str, str]):
    person = Person(site)
    led = await person.get("/models/m3/serve?x=1")
    assert (led.status, led.headers["location"]) == (303, "/sign-in?to=%2Fmodels%2Fm3%2Fserve%3Fx%3D1")
    form = await person.get(led.headers["location"])
    assert 'name="to" value="/models/m3/serve?x=1"' in form.text
    assert 'href="/models"' not in form.text
    done = await person.sign_in(keys["admin"], "/models/m3/serve?x=1")
    assert (done.status, done.headers["location"]) == (303, "/models/m3/serve?x=1")
    assert (await person.get("/models/m3/serve?x=1")).status == 200


@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.test/", "//evil.test/", "/\\evil.test", "\\\\evil.test", "javascript:alert(1)", "models"],
)
async def test_nobody_is_led_to_another_site(site: Service, keys: dict[str, str], elsewhere: str):
    done = await Person(site).sign_in(keys["viewer"], elsewhere)
    assert (done.status, done.headers["location"]) == (303, "/")


async def test_the_cookie_is_kept_from_scripts_other_sites_and_plain_connections(site: Service, keys: dict[str, str]):
    plain = (await Person(site).sign_in(keys["viewer"])).headers["set-cookie"]
    safe = await Person(site, **{"x-forwarded-proto": "https"}).sign_in(keys["viewer"])
    assert re.sub("=.*?;", "=…;", plain, count=1) == "feed_session=…; HttpOnly; Path=/; SameSite=lax"
    assert re.sub("=.*?;", "=…;", safe.headers["set-cookie"], count=1) == (
        "__Host-feed_session=…; HttpOnly; Path=/; SameSite=lax; Secure"
    )


async def test_no_key_is_typed_into_a_page_that_others_can_read(site: Service, keys: dict[str, str]):
    person = Person(site, host="feed.example:8090")
    assert "Sign in over https" in (await person.get("/sign-in")).text
    answer = await person.sign_in(keys["admin"])
    assert (answer.status, person.cookie) == (200, "")
    behind = Person(site, host="feed.example", **{"x-forwarded-proto": "https"})
    assert (await behind.sign_in(keys["admin"])).status == 303


@pytest.mark.parametrize(
    ("role", "pages", "may"),
    [
        ("viewer", 200, []),
        ("editor", 200, ["/corrections/new", "/experiments/new"]),
        ("admin", 200, ["/models/m3/serve", "/models/m1/serve"]),
    ],
)
async def test_roles_see_and_do_what_is_theirs(
    site: Service, keys: dict[str, str], register: None, role: str, pages: int, may: list[str]
):
    del register
    person = Person(site)
    await person.sign_in(keys[role])
    changing = ["/corrections/new", "/experiments/new", "/models/m3/serve", "/models/m1/serve"]
    shown = "".join([(await person.get(path)).text for path in ("/models", "/corrections", "/experiments")])
    assert [path for path in changing if f'href="{path}"' in shown] == may
    assert [(await person.get(path)).status for path in changing] == [
        pages if path in may else 403 for path in changing
    ]
    token = await person.token()
    refused = [(await person.post(path, {"csrf": token})).status for path in changing if path not in may]
    assert refused == [403] * len(refused)
    denied = await person.get(next(path for path in [*changing, "/sign-in"] if path not in may))
    assert "Sign out" in denied.text


async def test_a_change_is_told_under_the_name_of_who_has_signed_in(
    site: Service, keys: dict[str, str], store: BundleStore, database_url: str
):
    person = Person(site)
    await person.sign_in(keys["admin"])
    assert "key:admin" in (await person.get("/models/m3/serve")).text
    assert (await person.serve(await person.token()), store.live()) == (303, "m3")
    assert await changes(database_url) == [
        Change(Subject.MODEL, "m3", Action.SERVED, Actor("key:admin", Door.PAGE), {"instead_of": "m2"})
    ]


async def test_who_calls_the_api_under_another_name_is_told_by_his_own_too(
    site: Service, keys: dict[str, str], database_url: str
):
    body = json.dumps({"correctionType": "BLOCK", "videoId": "v7", "reason": "spam", "adminId": "ann"}).encode()
    headers = {"content-type": "application/json", "authorization": f"Bearer {keys['editor']}"}
    assert (await call(site.http_port, "POST", "/feed/corrections", body, headers)).status == 200
    [change] = await changes(database_url)
    assert (change.actor, change.details["caller"]) == (Actor("ann", Door.REST), "key:editor")


async def test_a_form_of_another_session_or_another_site_changes_nothing(
    site: Service, keys: dict[str, str], store: BundleStore
):
    person, other = Person(site), Person(site)
    await person.sign_in(keys["admin"])
    await other.sign_in(keys["admin"])
    theirs = await other.token()
    assert [await person.serve(token) for token in ("", "x", theirs, "\u00e9")] == [403] * 4
    assert await person.serve(await person.token(), **{"sec-fetch-site": "same-site"}) == 403
    assert (await person.post("/sign-out", {"csrf": theirs})).status == 403
    assert store.live() == "m2"
    assert (await person.get("/models")).status == 200


async def test_a_cookie_opens_pages_and_nothing_else(site: Service, keys: dict[str, str]):
    """What other sites can make a browser send must not reach the API, whose bodies carry no token."""
    person = Person(site)
    await person.sign_in(keys["editor"])
    assert (await person.get("/feed/corrections")).status == 401
    body = {"content-type": "application/json", "cookie": person.cookie}
    assert (await call(site.http_port, "POST", "/feed/corrections", b"{}", body)).status == 401


@pytest.mark.parametrize("how", ["cut", "changed", "other"])
async def test_a_forged_cookie_is_none(site: Service, keys: dict[str, str], how: str):
    person = Person(site)
    await person.sign_in(keys["admin"])
    name, _, value = person.cookie.partition("=")
    header, claims, signature = value.split(".")
    forged = {
        "cut": f"{header}.{claims}.",
        "changed": f"{header}.{claims[:-4]}AAAA.{signature}",
        "other": f"eyJhbGciOiJub25lIn0.{claims}.",
    }
    person.cookie = f"{name}={forged[how]}"
    assert (await person.get("/models")).status == 303


async def test_who_has_signed_out_is_out_with_every_copy_of_his_cookie(site: Service, keys: dict[str, str]):
    person, thief = Person(site), Person(site)
    await person.sign_in(keys["viewer"])
    thief.cookie = person.cookie
    assert (await thief.get("/models")).status == 200
    out = await person.post("/sign-out", {"csrf": await person.token()})
    assert (out.status, out.headers["location"], person.cookie) == (303, "/sign-in?done=out", "")
    assert "You have signed out" in (await person.get("/sign-in?done=out")).text
    assert (await thief.get("/models")).status == 303


async def test_who_has_signed_out_is_out_everywhere_and_after_a_restart(
    site: Service, start: Start, keys: dict[str, str], database_url: str
):
    beside = await start(FEED_AUTH="keys")
    person = Person(site)
    await person.sign_in(keys["viewer"])
    cookie = person.cookie

    def copy(of: Service) -> Person:
        made = Person(of)
        made.cookie = cookie
        return made

    async def beside_status() -> int:
        return (await copy(beside).get("/models")).status

    await until(beside_status, 200)
    await person.post("/sign-out", {"csrf": await person.token()})
    await until(beside_status, 303)
    later = await start(FEED_AUTH="keys")
    assert (await copy(later).get("/models")).status == 303
    database = Database(database_url)
    async with database.read() as connection:
        (row,) = (await connection.execute(sa.select(page_sign_outs))).all()
    await database.close()
    assert row.ends_at <= datetime.now(UTC) + timedelta(seconds=IDLE_S)


async def test_a_session_ends_with_its_key_and_a_new_one_of_that_name_does_not_bring_it_back(
    site: Service, keys: dict[str, str], keys_path: Path
):
    person = Person(site)
    await person.sign_in(keys["viewer"])

    async def status() -> int:
        return (await person.get("/models")).status

    assert await status() == 200
    api_keys.remove(keys_path, "viewer")
    await until(status, 303)
    api_keys.create(keys_path, "viewer", ROLES["admin"])
    fresh = Person(site)
    assert (await fresh.sign_in(keys["admin"])).status == 303
    assert await status() == 303


async def test_the_key_that_signs_sessions_changes_without_anybody_being_put_out(
    site: Service, keys: dict[str, str], tmp_path: Path
):
    person = Person(site)
    await person.sign_in(keys["viewer"])
    path = tmp_path / "keys" / "session.key"
    assert path.stat().st_mode & 0o777 == 0o600
    secret_ring.rotate(path, keep=True)
    assert (await person.get("/models")).status == 200
    secret_ring.rotate(path, keep=False)

    async def status() -> int:
        return (await person.get("/models")).status

    await until(status, 303)


async def test_what_is_refused_is_told_without_the_key_and_only_so_often(
    site: Service, keys: dict[str, str], logs: list[MutableMapping[str, Any]]
):
    person = Person(site)
    wrong = f"{keys['admin'][:-2]}xx"
    answers = [await person.sign_in(key) for key in (wrong, "", keys["ingest"])]
    assert [each.status for each in answers] == [422] * 3
    assert "This key opens no page" in answers[2].text
    lines = [each for each in logs if each["event"] == "page.sign_in_refused"]
    assert [(each["reason"], each["caller"]) for each in lines] == [("KEY_INVALID", "")]
    assert wrong not in str(logs) + "".join(each.text for each in answers)


async def test_attempts_to_sign_in_are_few(site: Service, keys: dict[str, str]):
    person = Person(site)
    answers = [await person.sign_in("feedkey.admin.x") for _ in range(10)]
    assert 429 in [each.status for each in answers]
    assert "Too many try to sign in" in answers[-1].text

    async def in_again() -> int:
        return (await person.sign_in(keys["admin"])).status

    await until(in_again, 303)


async def test_a_form_that_was_sent_too_late_says_so_and_what_looks_by_itself_is_told(site: Service):
    person = Person(site)
    late = await person.post("/corrections/new", {"reason": "x"})
    assert (late.status, late.headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert "Sign in, and do it again" in late.text
    assert (await person.get("/", **{"hx-request": "true"})).status == 401


async def test_where_nobody_is_asked_there_is_nothing_to_sign_in_to(start: Start):
    person = Person(await start())
    assert (await person.get("/sign-in")).status == 404
    page = await person.get("/")
    assert (page.status, "Sign out" in page.text, "set-cookie" in page.headers) == (200, False, False)
