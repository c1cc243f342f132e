"""What is declared elsewhere, as Terraform can read it: it has JSON, but no TOML and no Python."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from deploy.terraform.monitors import MONITORS, as_datadog
from deploy.topics import declared
from eventlog.access import Grant, Operation, Resource
from storage.tables import UtcDateTime, user_interactions
from trainer.adapters.status_snowflake import table_definition

# What a right is on MSK, which has actions of its own. Those that AWS requires beside an action are there, too: it
# refuses WriteData to who may not describe the topic.
_ACTIONS: Final[Mapping[tuple[Resource, Operation], Sequence[str]]] = {
    (Resource.TOPIC, Operation.WRITE): ("kafka-cluster:DescribeTopic", "kafka-cluster:WriteData"),
    (Resource.TOPIC, Operation.READ): ("kafka-cluster:DescribeTopic", "kafka-cluster:ReadData"),
    (Resource.GROUP, Operation.READ): ("kafka-cluster:AlterGroup", "kafka-cluster:DescribeGroup"),
}
_CONNECT: Final = "kafka-cluster:Connect"
# On the cluster: Kafka's own ACLs do not ask for it since 2.8, MSK's do.
_IDEMPOTENT: Final = "kafka-cluster:WriteDataIdempotently"

_COLUMN: Final = re.compile(r"^    (?P<name>\w+) (?P<type>[A-Z_]+(?:\(\d+\))?)(?P<required> NOT NULL)?", re.MULTILINE)


def text() -> str:
    """Returns the file."""
    grants = declared().grants
    content = {
        "_": "Made by `make terraform` out of topics.toml, the tables and the alerts; change it there.",
        "topics": dict(_topics()),
        "acls": [_acl(grant) for grant in grants],
        "msk": {name: _statements(name, grants) for name in dict.fromkeys(grant.principal for grant in grants)},
        "tables": {"USER_INTERACTIONS": _interactions(), "MODEL_TRAININGS": _trainings()},
        "monitors": {monitor.key: as_datadog(monitor) for monitor in MONITORS},
    }
    return json.dumps(content, indent=2) + "\n"


def _topics() -> Iterator[tuple[str, Mapping[str, Any]]]:
    for topic in declared().topics:
        config = {"retention.ms": str(topic.retention_ms), **topic.config}
        yield topic.name, {"partitions": topic.partitions, "config": config}


def _acl(grant: Grant) -> Mapping[str, str]:
    return {
        "principal": grant.principal,
        "operation": grant.operation.capitalize(),
        "resource_type": grant.resource.capitalize(),
        "resource_name": grant.name,
    }


def _statements(principal: str, grants: Iterable[Grant]) -> Sequence[Mapping[str, Any]]:
    """A statement for the cluster, then one for each topic and group."""
    own = [grant for grant in grants if grant.principal == principal]
    writes = any(grant.operation is Operation.WRITE for grant in own)
    found: dict[tuple[str, str], set[str]] = {("cluster", ""): {_CONNECT, *([_IDEMPOTENT] if writes else [])}}
    for grant in own:
        if (actions := _ACTIONS.get((grant.resource, grant.operation))) is not None:
            found.setdefault((grant.resource.lower(), grant.name), set()).update(actions)
    return [{"resource": kind, "name": name, "actions": sorted(actions)} for (kind, name), actions in found.items()]


def _interactions() -> Sequence[Mapping[str, Any]]:
    """The columns of the table in the database, but for the row's number."""
    return [
        {"name": column.name.upper(), "type": _snowflake_type(column.type), "nullable": bool(column.nullable)}
        for column in user_interactions.columns
        if not column.primary_key
    ]


def _snowflake_type(kind: Any) -> str:
    if isinstance(kind, sa.String):
        return f"VARCHAR({kind.length})"
    if isinstance(kind, sa.Float):
        return "FLOAT"
    if isinstance(kind, sa.Integer):
        return "NUMBER(38,0)"
    if isinstance(kind, sa.JSON):
        return "VARIANT"
    if isinstance(kind, UtcDateTime):
        return "TIMESTAMP_TZ(9)"
    raise TypeError(f"{kind!r} has no type in Snowflake yet")


def _trainings() -> Sequence[Mapping[str, Any]]:
    """The columns of the statement that the trainer makes the table with."""
    return [
        {"name": found["name"], "type": found["type"], "nullable": found["required"] is None}
        for found in _COLUMN.finditer(table_definition("MODEL_TRAININGS"))
    ]
