"""The processes with authentication, each RPC and each route of theirs by its descriptor, and calls with any token."""

import http.client
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health, health_pb2

import bridge.app
import insights.app
import interactions.app
import scorer.app
from bridge.settings import BridgeSettings
from feed.insights.v1 import corrections_pb2, outcomes_pb2
from feed.interactions.v1 import interactions_pb2
from feed.recommendations.v1 import recommendations_pb2
from feed.scoring.v1 import scoring_pb2
from insights.settings import InsightsSettings
from interactions.settings import InteractionsSettings
from runtime.access.guard import guard_of
from runtime.access.policy import POLICY
from runtime.process import App, Service
from runtime.secrets.signing import load_or_create_private_key
from runtime.servers.http_server import route_names
from runtime.settings import CommonSettings, load
from scorer.settings import ScorerSettings
from tests.http import call
from tests.integration.bridge.conftest import fill as fill_database
from tests.integration.interactions.ingesting import now_text
from tests.polling import until
from tests.secret_files import write_secret

PAGE: Final = "r1"
OWNER: Final = "u1"
CONTRACT: Final = (corrections_pb2, outcomes_pb2, interactions_pb2, recommendations_pb2, scoring_pb2, health_pb2)

# What a request to a route is like that is about its owner; those without are called as they are.
BODIES: Final[Mapping[str, Any]] = {
    "POST /feed/interactions": {"userId": OWNER, "videoId": "v1", "interactionType": "LIKE", "timestamp": now_text()},
    "POST /api/track": {
        "interactions": [
            {"userId": OWNER, "videoId": "v1", "interactionType": "LIKE", "timestamp": now_text()},
            {"userId": OWNER, "videoId": "v1", "interactionType": "LIKE", "timestamp": now_text()},
        ]
    },
    "POST /feed/outcomes": {"recommendationLogId": PAGE, "videoId": "v1", "action": "LIKED"},
}
QUERIES: Final[Mapping[str, str]] = {
    "GET /feed/recommendations": f"userId={OWNER}",
    "GET /feed/explanation": f"userId={OWNER}&videoId=t01",
}
# Of RPCs whose requests name nobody: how a request is about its owner all the same.
MESSAGES: Final[Mapping[str, Message]] = {
    "/feed.insights.v1.OutcomeService/TrackOutcome": outcomes_pb2.TrackOutcomeRequest(
        recommendation_log_id=PAGE, video_id="v1", action=outcomes_pb2.LIKED
    )
}


class Answer(StrEnum):
    """How a call ended."""

    UNKNOWN = "unauthenticated"
    DENIED = "denied"
    LET_IN = "let in"
    BROKEN = "broken"


_CODES: Final = {
    grpc.StatusCode.UNAUTHENTICATED: Answer.UNKNOWN,
    grpc.StatusCode.PERMISSION_DENIED: Answer.DENIED,
    grpc.StatusCode.INTERNAL: Answer.BROKEN,
    grpc.StatusCode.UNKNOWN: Answer.BROKEN,
    grpc.StatusCode.UNIMPLEMENTED: Answer.BROKEN,
}
_STATUSES: Final = {401: Answer.UNKNOWN, 403: Answer.DENIED, 500: Answer.BROKEN, 404: Answer.BROKEN, 405: Answer.BROKEN}


_PARAMETER: Final = re.compile(r"\{[^}]*\}")


@dataclass(frozen=True)
class Door:
    """An RPC or a route of a running process, as the policy names it.

    Args:
        name: How it is named.
        service: The process.
        method: The RPC; None: it is a route.
    """

    name: str
    service: Service
    method: MethodDescriptor | None

    def knock(self, channel: grpc.Channel, token: str | None) -> Answer:
        """Calls it once, with a request of the owner."""
        given = {} if token is None else {"authorization": f"Bearer {token}"}
        return self._rest(given) if self.method is None else self._rpc(channel, self.method, given)

    def _rpc(self, channel: grpc.Channel, method: MethodDescriptor, given: Mapping[str, str]) -> Answer:
        streams = (
            f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
        )
        call: Any = getattr(channel, streams)(self.name, type(self.request()).SerializeToString, None)
        request = iter([self.request()]) if method.client_streaming else self.request()
        try:
            answer = call(request, metadata=tuple(given.items()), timeout=30)
            if method.server_streaming:
                next(answer)
                answer.cancel()
        except grpc.RpcError as error:
            failed: Any = error
            return _CODES.get(failed.code(), Answer.LET_IN)
        return Answer.LET_IN

    def visit(self, cookie: str, csrf: str) -> Answer:
        """Calls a route once as a browser does, which sends its cookie, and with a POST a form."""
        given = {"cookie": cookie}
        if not self.name.startswith("POST"):
            return self._rest(given)
        return self._rest({**given, "content-type": "application/x-www-form-urlencoded"}, f"csrf={csrf}")

    def _rest(self, given: Mapping[str, str], form: str | None = None) -> Answer:
        verb, path = self.name.split(" ")
        named = _PARAMETER.sub("nothing", path)
        body = form or (json.dumps(BODIES[self.name]) if self.name in BODIES else None)
        # Forms of the pages are taken only from pages of ours.
        headers = {"sec-fetch-site": "same-origin", **({"content-type": "application/json"} if body else {}), **given}
        connection = http.client.HTTPConnection("127.0.0.1", self.service.http_port, timeout=30)
        try:
            connection.request(verb, f"{named}?{QUERIES.get(self.name, '')}", body, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        assert ("www-authenticate" in answer.headers) == (answer.status == 401)
        assert answer.status not in {401, 403} or json.loads(text)["requestId"]
        if answer.status == 404 and named != path:
            return Answer.LET_IN  # what it names is not there
        return _STATUSES.get(answer.status, Answer.LET_IN)

    def request(self) -> Message:
        """A message of the owner's."""
        assert self.method is not None
        request = MESSAGES.get(self.name) or GetMessageClass(self.method.input_type)()
        path = POLICY[self.name].user_ids
        if path:
            fill(request, path)
        return request


def fill(message: Any, path: str) -> None:
    """Writes the owner where a path leads; of several parts the second is his."""
    name, _, rest = path.partition(".")
    if not rest:
        setattr(message, name, OWNER)
        return
    part = getattr(message, name)
    if hasattr(part, "add"):
        part.add()
        fill(part[0], rest)
    else:
        fill(part, rest)


def doors(service: Service, app: App) -> Iterator[Door]:
    """Yields all that a process offers."""
    offered = {each.name for each in app.grpc_services} | {health.SERVICE_NAME}
    for module in CONTRACT:
        for described in module.DESCRIPTOR.services_by_name.values():
            if described.full_name in offered:
                offered.discard(described.full_name)
                for method in described.methods:
                    if method.full_name == "grpc.health.v1.Health.List":
                        continue  # grpcio's own servicer for grpc.aio lacks it
                    yield Door(f"/{described.full_name}/{method.name}", service, method)
    assert not offered, f"tests/integration/access/doors.py does not know {offered}"
    for name in route_names(app.http_routes):
        if name != "OPTIONS /api/track":  # a preflight has an answer only where pages of others may call
            yield Door(name, service, None)


@asynccontextmanager
async def processes(folder: Path, environ: Mapping[str, str]) -> AsyncIterator[dict[str, tuple[Service, App]]]:
    """Runs each process that answers others, by its name."""
    url = f"sqlite:///{folder / 'feed.db'}"
    fill_database(url)
    (folder / "bridge").mkdir()
    write_secret(folder / "bridge" / "token.key", b"k" * 32)
    load_or_create_private_key(folder / "keys" / "model_signing.pem")
    given = {
        "FEED_DATA_DIR": str(folder),
        "FEED_DATABASE_URL": url,
        "FEED_SCORER_TARGETS": "127.0.0.1:1",
        "FEED_BRIDGE_DEADLINE_MS": "5000",
        **environ,
    }
    made: dict[str, tuple[CommonSettings, App]] = {}
    for name, settings, app in (
        ("bridge", load(BridgeSettings, given), bridge.app.build),
        ("interactions", load(InteractionsSettings, given), interactions.app.build),
        ("insights", load(InsightsSettings, given), insights.app.build),
        ("scorer", load(ScorerSettings, given), scorer.app.build),
    ):
        built: Any = app
        made[name] = (settings, built(settings))
    running: dict[str, tuple[Service, App]] = {}
    async with AsyncExitStack() as stack:
        for name, (known, process) in made.items():
            service = Service(name, process, drain_s=1.0, guard=guard_of(known))
            running[name] = (await stack.enter_async_context(service), process)
            await until(partial(alive, service.http_port), expected=True)
        yield running


async def alive(port: int) -> bool:
    try:
        return (await call(port, "GET", "/healthz")).status == 200
    except OSError:
        return False
