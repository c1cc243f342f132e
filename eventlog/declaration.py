"""Reads the text that declares topics and principals (`deploy/topics.toml`). Pure."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eventlog.access import Grant, Operation, Resource
from eventlog.ports import EventLogError
from eventlog.topics import TopicSpec

_DAY_MS: Final = 86_400_000


class DeclarationError(EventLogError):
    """The declaration is wrong; the text lists every error. Whoever wrote the file mends it."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """A cluster as it should be.

    Args:
        topics: The topics.
        grants: What each principal may do; a principal may do nothing else.
    """

    topics: tuple[TopicSpec, ...]
    grants: tuple[Grant, ...]


class _Topic(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    partitions: int = Field(ge=1, le=10_000)
    # A record carries a user id, and an erasure must reach the log within 30 days.
    retention_days: float = Field(gt=0, le=30)
    compression: Literal["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"] = "producer"


class _Principal(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    topics: dict[str, _Topic]
    principals: dict[str, _Principal] = Field(default_factory=dict)


def parse(text: str) -> Declaration:
    """Reads a declaration.

    Args:
        text: TOML, as `deploy/topics.toml` explains it.

    Raises:
        DeclarationError: With every error.
    """
    try:
        file = _File.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise DeclarationError(f"no TOML: {error}") from error
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise DeclarationError("\n".join(lines)) from error
    unknown = [*_unknown_topics(file)]
    if unknown:
        raise DeclarationError("\n".join(unknown))
    grants = (grant for name, principal in file.principals.items() for grant in _grants(name, principal))
    return Declaration(
        topics=tuple(_spec(name, topic) for name, topic in file.topics.items()),
        grants=tuple(dict.fromkeys(grants)),
    )


def _unknown_topics(file: _File) -> Iterator[str]:
    for name, principal in file.principals.items():
        for topic in sorted({*principal.read, *principal.write} - file.topics.keys()):
            yield f"principals.{name}: the topic {topic} is not declared"


def _spec(name: str, topic: _Topic) -> TopicSpec:
    config = {"compression.type": topic.compression}
    return TopicSpec(name, topic.partitions, round(topic.retention_days * _DAY_MS), config)


def _grants(name: str, principal: _Principal) -> Iterator[Grant]:
    for operation, topics in ((Operation.READ, principal.read), (Operation.WRITE, principal.write)):
        for topic in topics:
            yield Grant(name, operation, Resource.TOPIC, topic)
            yield Grant(name, Operation.DESCRIBE, Resource.TOPIC, topic)
    for group in principal.groups:
        yield Grant(name, Operation.READ, Resource.GROUP, group)
