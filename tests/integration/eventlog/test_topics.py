"""`feed topics apply` on real brokers: without an authorizer, and with one."""

import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its stubs do not re-export
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from deploy.local.kafka import LocalKafka
from deploy.topics import declared
from eventlog import topics
from eventlog.access import Grant, Operation, Resource
from eventlog.topics import Copies, TopicsError, TopicSpec
from tests.secured_kafka import NEWCOMER, SecuredKafka
from tests.system import ROOT

pytestmark = pytest.mark.kafka


@pytest.fixture
def spec() -> TopicSpec:
    return TopicSpec(f"test.{uuid.uuid4().hex}", 2, 1_000)


def test_applying_twice_changes_nothing_and_differences_are_mended(kafka: LocalKafka, spec: TopicSpec) -> None:
    def said_by(apply: bool, wanted: TopicSpec, copies: Copies) -> tuple[bool | None, list[str]]:
        said: list[str] = []
        run = topics.apply if apply else topics.check
        same: bool | None = run(kafka.client_config(), specs=[wanted], copies=copies, say=said.append)
        return same, [line.removeprefix(f"{spec.name}: ") for line in said]

    one, longer = Copies(1, 1), replace(spec, retention_ms=2_000, config={"compression.type": "lz4"})
    changed = "retention.ms is not 2000, compression.type is not lz4"
    wider = "has 2 partitions, 3 are declared"

    assert said_by(False, spec, one) == (False, ["missing"])
    assert said_by(True, spec, one) == (None, ["missing: created with 2 partitions"])
    assert said_by(True, spec, one) == (None, ["as declared"])
    assert said_by(False, spec, one) == (True, ["as declared"])
    assert said_by(False, longer, one) == (False, [changed])
    assert said_by(True, longer, one) == (None, [f"{changed}: set"])
    assert said_by(False, longer, Copies()) == (True, ["as declared"])
    assert said_by(True, replace(longer, partitions=3), one) == (None, [f"{wider}: left alone"])
    assert said_by(False, longer, Copies(3, 1)) == (False, ["has 1 replicas, 3 are wanted"])


def test_a_refusal_of_the_broker_is_told(kafka: LocalKafka, spec: TopicSpec) -> None:
    with pytest.raises(TopicsError, match=r"(?i)replication factor"):
        topics.apply(kafka.client_config(), specs=[spec], copies=Copies(replication_factor=3))


def test_without_an_authorizer_rights_are_left_alone(kafka: LocalKafka) -> None:
    said: list[str] = []
    config, grants = kafka.client_config(), declared().grants
    topics.apply(config, specs=[], grants=grants, say=said.append)

    assert said == ["access: the broker has no authorizer, so everybody may do everything"]
    assert topics.check(config, specs=[], grants=grants, say=said.append)


@pytest.fixture
def newcomer(secured_kafka: SecuredKafka) -> Iterator[str]:
    """A principal without rights; those it got are taken away again."""
    yield NEWCOMER
    topics.apply(secured_kafka.config(), specs=[], grants=[_grant(Operation.DESCRIBE)], say=lambda _line: None)


def test_rights_are_given_and_what_is_not_declared_is_taken_away(secured_kafka: SecuredKafka, newcomer: str) -> None:
    config = secured_kafka.config()
    said: list[str] = []
    stray = AclBinding(
        ResourceType.TOPIC,
        "feed.",
        ResourcePatternType.PREFIXED,
        f"User:{newcomer}",
        "*",
        AclOperation.DELETE,
        AclPermissionType.ALLOW,
    )
    admin = AdminClient(config)
    admin.create_acls([stray])[stray].result(10)
    grants = [_grant(Operation.WRITE), _grant(Operation.DESCRIBE)]

    assert not topics.check(config, specs=[], grants=grants, say=said.append)
    topics.apply(config, specs=[], grants=grants, say=said.append)
    topics.apply(config, specs=[], grants=grants, say=said.append)

    lacks = [f"{newcomer}: lacks {operation} on topic {topics.SERVED}" for operation in ("WRITE", "DESCRIBE")]
    has = f"{newcomer}: has DELETE on topic feed.…, which is not declared"
    assert said == [
        *lacks,
        has,
        *(f"{line}: granted" for line in lacks),
        f"{has}: taken away",
        f"{newcomer}: as declared",
    ]


def test_who_may_not_look_is_told_so(secured_kafka: SecuredKafka) -> None:
    with pytest.raises(TopicsError, match="CLUSTER_AUTHORIZATION_FAILED"):
        topics.check(secured_kafka.config(NEWCOMER), specs=[], grants=declared().grants)


def test_the_command_tells_differences_by_its_exit_code(secured_kafka: SecuredKafka) -> None:
    """`--check` is what a pipeline runs before and after."""
    environ = secured_kafka.settings("admin")

    as_declared = _feed("--check", environ=environ)
    assert (as_declared.returncode, as_declared.stderr) == (0, "")
    names = [line.split(":")[0] for line in as_declared.stdout.splitlines()]
    principals = dict.fromkeys(grant.principal for grant in declared().grants)
    assert names == [*(spec.name for spec in declared().topics), *principals]
    assert _feed("--check", "--replication-factor", "3", environ=environ).returncode == 1
    assert _feed(environ=environ).returncode == 0
    wrong = _feed(environ=environ | {"FEED_KAFKA_SASL_PASSWORD": ""})
    assert (wrong.returncode, wrong.stdout) == (2, "")


def _grant(operation: Operation) -> Grant:
    return Grant(NEWCOMER, operation, Resource.TOPIC, topics.SERVED)


def _feed(*arguments: str, environ: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "deploy.cli", "topics", "apply", *arguments]
    return subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
