"""Who may do what with the log, and how to make a broker hold it (Kafka's access control lists)."""

import enum
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its stubs do not re-export
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from eventlog.steps import TIMEOUT_S, Step

_FROM_ANYWHERE: Final = "*"


class Operation(enum.StrEnum):
    """What is done."""

    READ = "READ"
    WRITE = "WRITE"
    DESCRIBE = "DESCRIBE"


class Resource(enum.StrEnum):
    """What it is done to."""

    TOPIC = "TOPIC"
    GROUP = "GROUP"


@dataclass(frozen=True, slots=True)
class Grant:
    """One right.

    Args:
        principal: Who, without `User:`.
        operation: What is done.
        resource: The kind of thing it is done to.
        name: The thing's exact name.
    """

    principal: str
    operation: Operation
    resource: Resource
    name: str


def access_steps(admin: AdminClient, grants: Sequence[Grant]) -> Iterator[Step]:
    """Yields what is to be done for each principal: rights it lacks, and rights that it has but were not declared.

    Args:
        admin: A connected client whose user may describe and alter the cluster.
        grants: All that the named principals may do. Other principals, and what is denied, are left alone.
    """
    found = set(admin.describe_acls(_every(ResourceType.ANY, None, ResourcePatternType.ANY)).result(TIMEOUT_S))
    if not found and not _has_authorizer(admin):
        yield Step("access", remark="the broker has no authorizer, so everybody may do everything")
        return
    for principal in dict.fromkeys(grant.principal for grant in grants):
        wanted = {_binding(grant) for grant in grants if grant.principal == principal}
        yield from _principal_steps(admin, principal, wanted, _allowed(found, principal))


def _has_authorizer(admin: AdminClient) -> bool:
    """Asks by taking away what nobody has: confluent_kafka has an empty list for whoever may not look, too."""
    nobody = _every(ResourceType.TOPIC, f"no-{uuid.uuid4()}", ResourcePatternType.LITERAL)
    try:
        admin.delete_acls([nobody])[nobody].result(TIMEOUT_S)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.SECURITY_DISABLED:
            raise
        return False
    return True


def _every(resource: ResourceType, name: Any, pattern: ResourcePatternType) -> AclBindingFilter:
    anybody: Any = None
    return AclBindingFilter(resource, name, pattern, anybody, anybody, AclOperation.ANY, AclPermissionType.ANY)


def _allowed(found: set[AclBinding], principal: str) -> set[AclBinding]:
    mine = f"User:{principal}"
    return {each for each in found if each.principal == mine and each.permission_type is AclPermissionType.ALLOW}


def _principal_steps(
    admin: AdminClient, principal: str, wanted: set[AclBinding], found: set[AclBinding]
) -> Iterator[Step]:
    if wanted == found:
        yield Step(principal)
    for each in sorted(wanted - found):
        yield Step(principal, f"lacks {_told(each)}", "granted", partial(_grant, admin, each))
    for each in sorted(found - wanted):
        yield Step(principal, f"has {_told(each)}, which is not declared", "taken away", partial(_take, admin, each))


def _binding(grant: Grant) -> AclBinding:
    return AclBinding(
        ResourceType[grant.resource],
        grant.name,
        ResourcePatternType.LITERAL,
        f"User:{grant.principal}",
        _FROM_ANYWHERE,
        AclOperation[grant.operation],
        AclPermissionType.ALLOW,
    )


def _told(each: AclBinding) -> str:
    literal = each.resource_pattern_type is ResourcePatternType.LITERAL
    name = each.name if literal else f"{each.name}…"
    place = "" if each.host == _FROM_ANYWHERE else f" from {each.host}"
    return f"{AclOperation(each.operation).name} on {ResourceType(each.restype).name.lower()} {name}{place}"


def _grant(admin: AdminClient, each: AclBinding) -> None:
    admin.create_acls([each])[each].result(TIMEOUT_S)


def _take(admin: AdminClient, each: AclBinding) -> None:
    exactly = AclBindingFilter(
        each.restype,
        each.name,
        each.resource_pattern_type,
        each.principal,
        each.host,
        each.operation,
        each.permission_type,
    )
    admin.delete_acls([exactly])[exactly].result(TIMEOUT_S)
