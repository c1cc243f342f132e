"""S01, S02: every RPC and every route, called by everybody, does as the policy says.

What is offered is read from descriptors and routes, what should come of a call from the policy alone.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
import sqlalchemy as sa
import structlog
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from eventlog.adapters.journal_file import JournalFile
from eventlog.topics import INTERACTIONS
from feed.interactions.v1 import interactions_pb2 as pb
from feed.interactions.v1.interactions_pb2_grpc import InteractionServiceStub
from insights.adapters.answers_database import DatabaseAnswers
from insights.domain.session import ROLE_SCOPES
from runtime.access import api_keys
from runtime.access.policy import POLICY
from runtime.access.rules import ADMIN, PUBLIC, Rule
from runtime.process import Service
from storage.database import Database, reading, sync_engine
from storage.tables import outcome_waiting, prediction_outcomes
from tests.chaos.figures import report
from tests.http import call
from tests.integration.access.doors import OWNER, PAGE, Answer, Door, doors, processes
from tests.integration.insights.books import Books, page
from tests.integration.insights.test_insights import NOW
from tests.integration.interactions.ingesting import event, message
from tests.polling import until
from tests.tokens import Issuer

SCOPES: Final = sorted({rule.scope for rule in POLICY.values() if rule.scope})


@dataclass(frozen=True)
class Role:
    """Somebody who calls.

    Args:
        name: What is right or wrong with him.
        token: What he shows at a door with this rule; None: nothing.
        expected: What should come of it where the rule is not public.
    """

    name: str
    token: Callable[[Rule], str | None]
    expected: Callable[[Rule], Answer]


def strangers(issuer: Issuer) -> Iterator[Role]:
    yield Role("nobody", lambda _: None, lambda _: Answer.UNKNOWN)
    for name, token in issuer.hostile().items():
        yield Role(name, partial(_whatever, token), lambda _: Answer.UNKNOWN)


def _whatever(token: Callable[[], str], _rule: Rule) -> str:
    return token()


def others(issuer: Issuer, keys: Mapping[str, str]) -> Iterator[Role]:
    def another_scope(rule: Rule) -> str:
        return next(scope for scope in SCOPES if scope != rule.scope)

    denied = lambda _: Answer.DENIED  # noqa: E731
    yield Role("another user", lambda _: issuer.token("u2"), denied)
    yield Role("a user whose name begins alike", lambda _: issuer.token(f"{OWNER}1"), denied)
    yield Role("a user with another scope", lambda rule: issuer.token("u2", scope=another_scope(rule)), denied)
    yield Role("a service with another scope", lambda rule: keys[another_scope(rule)], denied)


def welcome(issuer: Issuer, keys: Mapping[str, str]) -> Iterator[Role]:
    let_in = lambda _: Answer.LET_IN  # noqa: E731
    himself = lambda rule: Answer.DENIED if rule.user_ids is None else Answer.LET_IN  # noqa: E731
    yield Role("the user himself", lambda _: issuer.token(OWNER), himself)
    yield Role("a service with the scope, by token", lambda rule: issuer.token("s1", scope=rule.scope), let_in)
    yield Role("a service with the scope, by key", lambda rule: keys.get(rule.scope), let_in)
    yield Role("an admin", lambda _: keys[ADMIN], let_in)


@dataclass
class Site:
    """What stands in the matrix."""

    folder: Path
    issuer: Issuer
    keys: dict[str, str]
    services: dict[str, Service]
    doors: list[Door]

    def wrong(self, roles: Iterator[Role]) -> tuple[int, list[str]]:
        """Calls every door as everybody; returns how many calls, and those that went otherwise than they should."""
        counts: Counter[bool] = Counter()
        wrong: list[str] = []
        with ExitStack() as stack:
            channels = {
                name: stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{service.grpc_port}"))
                for name, service in self.services.items()
            }
            by_port = {service.grpc_port: channels[name] for name, service in self.services.items()}
            for role in roles:
                for door in self.doors:
                    rule = POLICY[door.name]
                    expected = Answer.LET_IN if rule == PUBLIC else role.expected(rule)
                    answer = door.knock(by_port[door.service.grpc_port], role.token(rule))
                    counts[answer is expected] += 1
                    if answer is not expected:
                        wrong.append(f"{door.name} as {role.name}: {answer}, not {expected}")
        return counts.total(), wrong

    def written(self) -> tuple[int, int]:
        """How many events are in the journal, and how many outcomes are known."""
        file = JournalFile(self.folder / "eventlog")
        engine = sync_engine(f"sqlite:///{self.folder / 'feed.db'}")
        try:
            # Reading: it would wait for a writer, and writers of the same loop for us.
            with reading(engine) as connection:
                waiting = connection.scalar(sa.select(sa.func.count()).select_from(outcome_waiting)) or 0
                tied = connection.scalar(sa.select(sa.func.sum(prediction_outcomes.c.user_action != "pending"))) or 0
            return len(list(file.read(INTERACTIONS, 0, 10_000))), waiting + tied
        finally:
            engine.dispose()
            file.close()


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    """What is logged; kept, because printing it takes longer than the calls."""
    with structlog.testing.capture_logs() as entries:
        yield entries


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    issuer = Issuer(tmp_path / "jwks.json")
    path = tmp_path / "keys" / "api_keys.json"
    keys = {scope: api_keys.create(path, scope.replace(":", "-"), [scope]) for scope in [*SCOPES, ADMIN]}
    async with processes(tmp_path, issuer.environ) as running:
        await serve_a_page(tmp_path, running["insights"][0])
        found = [door for service, app in running.values() for door in doors(service, app)]
        yield Site(tmp_path, issuer, keys, {name: service for name, (service, _) in running.items()}, found)


async def serve_a_page(folder: Path, service: Service) -> None:
    """Lets the ledger know a page of the owner."""

    async def ready() -> int:
        return (await call(service.http_port, "GET", "/readyz")).status

    database = Database(f"sqlite:///{folder / 'feed.db'}", pool_size=2)
    await until(ready, 200)
    await Books(database).serve(page(PAGE, time=NOW))

    async def served() -> int:
        return (await DatabaseAnswers(database).state()).served

    await until(served, 2)
    await database.close()


async def test_everybody_at_every_door_is_answered_as_the_policy_says(site: Site):
    refused, wrong = await asyncio.to_thread(site.wrong, strangers(site.issuer))
    denied, more = await asyncio.to_thread(site.wrong, others(site.issuer, site.keys))
    assert site.written() == (0, 0)
    let_in, most = await asyncio.to_thread(site.wrong, welcome(site.issuer, site.keys))
    calls, wrong = refused + denied + let_in, [*wrong, *more, *most]
    report(
        "S01, S02",
        f"{len(site.doors)} RPCs and routes x {calls // len(site.doors)} callers",
        target="100 % as the policy says; 0 side effects",
        met=not wrong,
        calls=calls,
        as_the_policy_says_share=(calls - len(wrong)) / calls,
    )
    assert wrong == []
    assert min(site.written()) > 0, "what may be written is: else the test above could not fail"


async def test_who_has_signed_in_may_on_pages_what_his_key_may_and_nothing_elsewhere(site: Site):
    """By the cookie alone: pages as the policy says, the API never; and no form without the session's token."""
    port = site.services["insights"].http_port
    doors_of_insights = [door for door in site.doors if door.method is None and door.service.http_port == port]
    # It ends the session, so it comes last.
    doors_of_insights.sort(key=lambda door: door.name == "POST /sign-out")
    wrong, calls = [], 0
    for name, scopes in {"nobody": (), **{role: sorted(given) for role, given in ROLE_SCOPES.items()}}.items():
        cookie, csrf = await signed_in(site, name, scopes) if scopes else ("feed_session=x", "x")
        for door in doors_of_insights:
            rule = POLICY[door.name]
            is_page = not door.name.partition(" ")[2].startswith("/feed/")
            expected = (
                Answer.LET_IN
                if rule == PUBLIC or (is_page and rule.scope in scopes)
                else Answer.DENIED
                if is_page and scopes
                else Answer.UNKNOWN
            )
            calls += 1
            answer = await asyncio.to_thread(door.visit, cookie, csrf)
            if answer is not expected:
                wrong.append(f"{door.name} as {name}: {answer}, not {expected}")
    assert (wrong, site.written()) == ([], (0, 0))
    assert calls > 100


async def signed_in(site: Site, name: str, scopes: Sequence[str]) -> tuple[str, str]:
    """Returns the cookie of somebody who has signed in, and what his forms carry."""
    key = api_keys.create(site.folder / "keys" / "api_keys.json", f"page-{name}", scopes)
    port = site.services["insights"].http_port
    form = {"sec-fetch-site": "same-origin", "content-type": "application/x-www-form-urlencoded"}
    cookie = ""

    async def status() -> int:
        nonlocal cookie
        answer = await call(port, "POST", "/sign-in", f"key={key}".encode(), form)
        cookie = answer.headers.get("set-cookie", "").partition(";")[0]
        return answer.status

    # The process looks for new keys once a second.
    await until(status, 303)
    page = await call(port, "GET", "/models", headers={"cookie": cookie})
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found
    return cookie, found[1]


async def test_what_a_request_may_look_like_makes_no_difference(site: Site):
    port = site.services["bridge"].http_port
    path = f"/feed/recommendations?userId={OWNER}"
    good = f"Bearer {site.issuer.token(OWNER)}"
    assert (await call(port, "HEAD", path)).status == 401
    assert (await call(port, "HEAD", path, headers={"authorization": good})).status == 200
    assert (await call(port, "GET", path, headers={"Authorization": good.replace("Bearer", "bearer")})).status == 200
    for wrong in (good.replace("Bearer", "Basic"), good.removeprefix("Bearer "), f"{good} x", f"{good},{good}"):
        assert (await call(port, "GET", path, headers={"authorization": wrong})).status == 401
    for other in ("userId=u2", f"userId={OWNER}&userId=u2", f"userId=u2&userId={OWNER}", "userid=u2", ""):
        status = (await call(port, "GET", f"/feed/recommendations?{other}", headers={"authorization": good})).status
        assert status in {400, 403}, other


async def test_one_event_of_somebody_else_refuses_the_whole_batch(site: Site):
    """By REST and by both RPCs: of what was sent, nothing is written."""
    service = site.services["interactions"]
    headers = {"authorization": f"Bearer {site.issuer.token(OWNER)}", "content-type": "application/json"}
    batch = {"interactions": [event(userId=OWNER), event(userId="u2")]}
    for path in ("/feed/interactions", "/api/track"):
        answer = await call(service.http_port, "POST", path, json.dumps(batch).encode(), headers)
        assert (answer.status, answer.json["reason"]) == (403, "OTHER_USER")
    messages = [message(user_id=OWNER), message(user_id="u2")]
    metadata = (("authorization", headers["authorization"]),)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{service.grpc_port}") as channel:
        recorded = InteractionServiceStub(channel).RecordInteractions(
            pb.RecordInteractionsRequest(interactions=messages), metadata=metadata
        )
        assert await recorded.code() == grpc.StatusCode.PERMISSION_DENIED
    assert site.written() == (0, 0)


async def test_a_refusal_says_what_is_missing_and_who_asked_is_in_the_log(
    site: Site, logs: list[MutableMapping[str, Any]]
):
    port = site.services["insights"].http_port
    logs.clear()
    unknown = await call(port, "GET", "/feed/acceptance-rate", headers={"x-request-id": "r-1"})
    token = site.issuer.token("u2")
    denied = await call(port, "GET", "/feed/acceptance-rate", headers={"authorization": f"Bearer {token}"})
    assert unknown.headers["www-authenticate"] == 'Bearer realm="feed"'
    assert (unknown.json["reason"], unknown.json["requestId"]) == ("TOKEN_MISSING", "r-1")
    assert (denied.json["reason"], denied.json["detail"]) == ("SCOPE_MISSING", "this needs the scope insights:read")
    lines = [entry for entry in logs if entry["event"] == "access.denied"]
    assert [(line["what"], line["reason"]) for line in lines] == [("GET /feed/acceptance-rate", "SCOPE_MISSING")]
    assert token not in str(logs)
    assert "u2" not in str(lines)


async def test_who_may_be_anybody_is_not_told_what_there_is(site: Site):
    """Reflection lists every RPC; where callers are asked who they are it is not there."""
    target = f"127.0.0.1:{site.services['bridge'].grpc_port}"
    async with grpc.aio.insecure_channel(target) as channel:
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        call_ = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([asked]))
        assert await call_.code() == grpc.StatusCode.UNIMPLEMENTED
