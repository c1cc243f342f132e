"""The policy names each RPC of the contract and each route of the OpenAPI document: a new one without a row fails."""

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2

from bridge.settings import BridgeSettings
from feed.insights.v1 import corrections_pb2, outcomes_pb2
from feed.interactions.v1 import interactions_pb2
from feed.recommendations.v1 import recommendations_pb2
from feed.scoring.v1 import scoring_pb2
from insights.app import build
from insights.settings import InsightsSettings
from runtime.access.guard import Guard, PolicyError
from runtime.access.policy import POLICY
from runtime.access.rules import PUBLIC, user_ids
from runtime.servers.http_server import route_names
from runtime.settings import SettingsError, load
from tests.tokens import Issuer

PROTOS = Path(__file__).parents[3] / "protos"
CONTRACT = (corrections_pb2, outcomes_pb2, interactions_pb2, recommendations_pb2, scoring_pb2)
# What every process has, and what the document leaves out, beside the pages for people.
NOT_IN_DOCUMENT = {"GET /openapi.json", "GET /tracker.js", "OPTIONS /api/track"}


def methods() -> Iterator[tuple[str, MethodDescriptor]]:
    for module in CONTRACT:
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                yield f"/{service.full_name}/{method.name}", method


@pytest.fixture
def pages(tmp_path: Path) -> set[str]:
    """The routes of the insights that are for people."""
    environ = {
        "FEED_DATA_DIR": str(tmp_path),
        "FEED_DATABASE_URL": f"sqlite:///{tmp_path / 'feed.db'}",
        **Issuer(tmp_path / "jwks.json").environ,
        "FEED_INSIGHTS_OIDC_CLIENT_ID": "page",
    }
    return {name for name in route_names(build(load(InsightsSettings, environ)).http_routes) if " /feed/" not in name}


def test_all_proto_files_with_services_are_looked_at():
    with_services = {
        str(path.relative_to(PROTOS)) for path in (PROTOS / "feed").rglob("*.proto") if "\nservice " in path.read_text()
    }
    assert {module.DESCRIPTOR.name for module in CONTRACT} == with_services


def test_every_rpc_and_every_route_has_one_row_and_no_row_is_for_nothing(pages: set[str]):
    document = json.loads((files("feed") / "openapi.json").read_text())
    routes = {
        f"{method.upper()} {path}"
        for path, operations in document["paths"].items()
        for method in operations
        if method not in {"servers", "parameters"}
    }
    health = health_pb2.DESCRIPTOR.services_by_name["Health"]
    checks = {f"/grpc.health.v1.Health/{method.name}" for method in health.methods}
    assert set(POLICY) == {name for name, _ in methods()} | routes | checks | NOT_IN_DOCUMENT | pages


@pytest.mark.parametrize(("name", "method"), list(methods()), ids=[name for name, _ in methods()])
def test_no_rpc_is_public_and_where_users_may_call_their_ids_are_where_the_row_says(
    name: str, method: MethodDescriptor
):
    rule = POLICY[name]
    assert rule.scope
    if rule.user_ids:
        request = GetMessageClass(method.input_type)()
        fill(request, rule.user_ids)
        assert user_ids(request, rule.user_ids) == ["u1"]


def test_a_request_with_a_users_id_is_for_that_user_or_for_who_holds_a_scope():
    """A new RPC whose request names a user must not let users name another one."""
    for name, method in methods():
        rule = POLICY[name]
        if rule.user_ids == "":
            assert "user_id" not in method.input_type.fields_by_name, name


@pytest.mark.parametrize(
    ("names", "host", "refused"),
    [
        pytest.param(["GET /healthz", "GET /nobody-said"], "127.0.0.1", PolicyError, id="no row"),
        pytest.param(["GET /feed/recommendations"], "0.0.0.0", SettingsError, id="open to other machines"),
        pytest.param(["GET /feed/recommendations"], "::", SettingsError, id="the same by IPv6"),
        pytest.param(["GET /feed/recommendations"], "feed.example", SettingsError, id="a name"),
        pytest.param(["GET /feed/recommendations"], "127.0.0.2", None, id="loopback"),
        pytest.param(["GET /feed/recommendations"], "::1", None, id="loopback by IPv6"),
        pytest.param(["GET /feed/recommendations"], "localhost", None, id="loopback by name"),
        pytest.param(["GET /healthz", "GET /metrics"], "0.0.0.0", None, id="nothing but what is public"),
    ],
)
def test_what_a_process_that_asks_nobody_may_offer(names: list[str], host: str, refused: type[Exception] | None):
    if refused is None:
        Guard().require_safe(names, host)
    else:
        with pytest.raises(refused):
            Guard().require_safe(names, host)


def test_what_everybody_may_call_names_nobody():
    assert {name for name, rule in POLICY.items() if rule == PUBLIC} == {
        *(f"/grpc.health.v1.Health/{name}" for name in ("Check", "List", "Watch")),
        *(f"GET /{name}" for name in ("healthz", "readyz", "metrics", "openapi.json", "tracker.js")),
        "OPTIONS /api/track",
        "GET /sign-in",
        "POST /sign-in",
        "GET /sign-in/issuer",
        "GET /sign-in/issuer/back",
        "GET /assets/{digest}/{name:path}",
        "GET /{path:path}",
    }


def fill(message: object, path: str) -> None:
    """Writes u1 where a path leads."""
    name, _, rest = path.partition(".")
    if not rest:
        setattr(message, name, "u1")
        return
    part = getattr(message, name)
    fill(part.add() if hasattr(part, "add") else part, rest)


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path / "jwks.json")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"FEED_AUTH_ISSUER": ""}, "FEED_AUTH=jwt needs FEED_AUTH_ISSUER"),
        ({"FEED_AUTH_AUDIENCE": ""}, "FEED_AUTH=jwt needs FEED_AUTH_AUDIENCE"),
        ({"FEED_AUTH_JWKS_FILE": ""}, "either FEED_AUTH_JWKS_FILE or FEED_AUTH_JWKS_URL"),
        ({"FEED_AUTH_JWKS_URL": "https://a/b"}, "either FEED_AUTH_JWKS_FILE or FEED_AUTH_JWKS_URL"),
        ({"FEED_AUTH_JWKS_FILE": "", "FEED_AUTH_JWKS_URL": "http://a.example/b"}, "FEED_AUTH_JWKS_URL="),
        ({"FEED_AUTH_JWKS_FILE": "", "FEED_AUTH_JWKS_URL": "file:///etc/passwd"}, "FEED_AUTH_JWKS_URL="),
        ({"FEED_AUTH": "off"}, "FEED_AUTH_ISSUER is only for FEED_AUTH=jwt"),
        ({"FEED_AUTH": "keys"}, "FEED_AUTH_ISSUER is only for FEED_AUTH=jwt"),
        ({"FEED_AUTH": "off", "FEED_AUTH_API_KEYS_FILE": "k"}, "FEED_AUTH_API_KEYS_FILE is only for FEED_AUTH=keys"),
        ({"FEED_AUTH": "of"}, "FEED_AUTH='of'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_settings_that_do_not_fit_together_are_refused(issuer: Issuer, changes: dict[str, str], problem: str):
    with pytest.raises(SettingsError) as caught:
        load(BridgeSettings, {**issuer.environ, **changes})
    assert problem in str(caught.value)
