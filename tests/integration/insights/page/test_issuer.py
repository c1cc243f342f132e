"""Signing in at an issuer: there and back, what it must say to be believed, and what is done when it does not."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest

from insights.entrance import entrance_of
from insights.settings import InsightsSettings
from runtime.process import Service
from runtime.settings import SettingsError, load
from storage.audit import Action, Actor, Change, Door, Subject
from tests.http import Answer, call
from tests.integration.insights.page.conftest import Start
from tests.integration.insights.page.test_sign_in import Person, changes
from tests.oidc_issuer import SECRET, OidcIssuer
from tests.secret_files import write_secret
from tests.sign_outs import KeptInMemory
from tests.tokens import Issuer
from trainer.adapters.bundle_store import BundleStore

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def issuer(tmp_path: Path) -> Iterator[OidcIssuer]:
    with OidcIssuer(tmp_path) as made:
        yield made


class Visitor(Person):
    """Somebody who signs in at the issuer; his browser keeps both cookies."""

    def __init__(self, site: Service) -> None:
        super().__init__(site)
        self.cookies: dict[str, str] = {}

    async def leave(self, to: str = "/models") -> str:
        """Goes to the issuer; returns where that sends him back to."""
        sent = await self.get(f"/sign-in/issuer?to={to}")
        assert sent.status == 303, sent.text
        url = urlsplit(sent.headers["location"])
        assert url.port is not None
        answer = await call(url.port, "GET", f"{url.path}?{url.query}")
        back = urlsplit(answer.headers["location"])
        return f"{back.path}?{back.query}"

    async def sign_in_there(self) -> Answer:
        return await self.get(await self.leave())

    def _taken(self, answer: Answer) -> Answer:
        for given in filter(None, answer.headers.get("set-cookie", "").split(", ")):
            name, _, value = given.partition(";")[0].partition("=")
            self.cookies[name] = value
        self.cookie = "; ".join(f"{each}={kept}" for each, kept in self.cookies.items() if kept.strip('"'))
        return answer


@ON_SQLITE
@pytest.mark.parametrize("secret", ["", SECRET])
async def test_who_was_let_in_by_the_issuer_does_what_his_scopes_say_under_his_name(
    start: Start, issuer: OidcIssuer, store: BundleStore, database_url: str, tmp_path: Path, secret: str
):
    issuer.scopes = "insights:read models:promote feed:read:any"
    write_secret(tmp_path / "secret", secret or "unused")
    more = {"FEED_INSIGHTS_OIDC_CLIENT_SECRET_FILE": str(tmp_path / "secret")} if secret else {}
    visitor = Visitor(await start(**issuer.environ, **more))
    assert f"Sign in at {urlsplit(issuer.url).netloc}<" in (await visitor.get("/sign-in")).text
    done = await visitor.sign_in_there()
    assert (done.status, done.headers["location"]) == (303, "/models")
    assert "ann (p-7)" in (await visitor.get("/models")).text
    assert (await visitor.get("/corrections/new")).status == 403
    assert (await visitor.serve(await visitor.token()), store.live()) == (303, "m3")
    assert await changes(database_url) == [
        Change(Subject.MODEL, "m3", Action.SERVED, Actor("ann (p-7)", Door.PAGE), {"instead_of": "m2"})
    ]


@ON_SQLITE
async def test_what_is_asked_of_the_issuer_is_the_code_flow_with_pkce(start: Start, issuer: OidcIssuer):
    visitor = Visitor(await start(**issuer.environ))
    sent = await visitor.get("/sign-in/issuer")
    asked = parse_qs(urlsplit(sent.headers["location"]).query)
    assert [asked[name] for name in ("tenant", "response_type", "code_challenge_method")] == [["1"], ["code"], ["S256"]]
    assert asked["redirect_uri"][0].endswith("/sign-in/issuer/back")
    assert {"openid", "insights:read"} <= set(asked["scope"][0].split())
    assert min(len(asked[name][0]) for name in ("state", "nonce", "code_challenge")) >= 43


SPOILT: Final[dict[str, Callable[[dict[str, Any], dict[str, Any]], object]]] = {
    "another nonce": lambda identity, _: identity.update(nonce="x"),
    "no nonce": lambda identity, _: identity.pop("nonce"),
    "for another client": lambda identity, _: identity.update(aud="other"),
    "got by another client": lambda identity, _: identity.update(azp="other"),
    "another issuer": lambda identity, _: identity.update(iss="https://other.example"),
    "expired": lambda identity, _: identity.update(exp=1),
    "access of somebody else": lambda _, access: access.update(sub="p-8"),
    "access for another audience": lambda _, access: access.update(aud="other"),
    "a name too long": lambda identity, access: (identity.update(sub="x" * 65), access.update(sub="x" * 65)),
}


@ON_SQLITE
@pytest.mark.parametrize("spoilt", SPOILT)
async def test_what_the_issuer_says_must_hold(start: Start, issuer: OidcIssuer, spoilt: str):
    visitor = Visitor(await start(**issuer.environ))
    issuer.spoil = SPOILT[spoilt]
    done = await visitor.sign_in_there()
    assert (done.status, (await visitor.get("/models")).status) == (422, 303)
    assert "The issuer cannot be used now" in done.text


@ON_SQLITE
async def test_only_who_was_sent_away_comes_back_and_only_once(start: Start, issuer: OidcIssuer):
    site = await start(**issuer.environ)
    visitor, other = Visitor(site), Visitor(site)
    back = await visitor.leave()
    await other.leave()
    assert "not begun in this browser" in (await other.get(back)).text
    assert "not begun in this browser" in (await Visitor(site).get(back)).text
    assert (await visitor.get(back)).status == 303
    again = await visitor.get(back)
    assert again.status == 422
    assert "not begun in this browser" in again.text


@ON_SQLITE
async def test_who_has_no_scope_of_the_page_or_is_refused_there_is_not_let_in(start: Start, issuer: OidcIssuer):
    visitor = Visitor(await start(**issuer.environ))
    issuer.scopes = "feed:read:any"
    assert "The issuer gives you no page" in (await visitor.sign_in_there()).text
    back = await visitor.leave()
    refused = await visitor.get(f"{back.partition('?')[0]}?error=access_denied&state={parse_qs(back)['state'][0]}")
    assert "did not let you in" in refused.text


@ON_SQLITE
@pytest.mark.parametrize(
    "said",
    [
        {"issuer": "https://other.example"},
        {"token_endpoint": "http://evil.test/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": None},
    ],
)
async def test_what_the_issuer_says_of_itself_must_hold(start: Start, issuer: OidcIssuer, said: dict[str, Any]):
    issuer.discovery.update(said)
    answer = await Visitor(await start(**issuer.environ)).get("/sign-in/issuer")
    assert (answer.status, "The issuer cannot be used now" in answer.text) == (422, True)


def test_an_issuer_without_an_address_over_https_stops_the_process(tmp_path: Path):
    environ = {**Issuer(tmp_path / "jwks.json").environ, "FEED_DATA_DIR": str(tmp_path)}
    given = {**environ, "FEED_AUTH_ISSUER": "http://login.example", "FEED_INSIGHTS_OIDC_CLIENT_ID": "x"}
    with pytest.raises(SettingsError, match="FEED_INSIGHTS_OIDC_CLIENT_ID needs"):
        entrance_of(load(InsightsSettings, given), KeptInMemory())
