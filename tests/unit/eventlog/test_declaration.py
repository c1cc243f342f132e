"""The declaration of topics and principals: what may stand in it, and what ours says."""

import pytest

from deploy.topics import declared
from eventlog import topics
from eventlog.access import Grant, Operation, Resource
from eventlog.declaration import Declaration, DeclarationError, parse
from eventlog.topics import TopicSpec
from interactions.sink.app import GROUP as SINK_GROUP
from interactions.sink.app import SERVED_GROUP
from interactions.sink.replay_cli import GROUP as REPLAY_GROUP

DAY_MS = 86_400_000

SMALL = """
[topics.clicks]
partitions = 3
retention_days = 0.5
compression = "zstd"

[principals.writer]
write = ["clicks"]

[principals.reader]
read = ["clicks"]
write = ["clicks"]
groups = ["counting"]
"""


def grants(principal: str, *rights: str) -> list[Grant]:
    split = (right.split() for right in rights)
    return [Grant(principal, Operation[what], Resource[kind], name) for what, kind, name in split]


def test_a_declaration_says_topics_and_every_single_right() -> None:
    assert parse(SMALL) == Declaration(
        topics=(TopicSpec("clicks", 3, DAY_MS // 2, {"compression.type": "zstd"}),),
        grants=(
            *grants("writer", "WRITE TOPIC clicks", "DESCRIBE TOPIC clicks"),
            *grants("reader", "READ TOPIC clicks", "DESCRIBE TOPIC clicks", "WRITE TOPIC clicks"),
            *grants("reader", "READ GROUP counting"),
        ),
    )


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        pytest.param("[topics", ["no TOML"], id="no TOML"),
        pytest.param(
            "[topics.a]\npartitions = 0\nretention_days = 31\ncompression = 'rar'\nsize = 1",
            ["topics.a.partitions", "topics.a.retention_days", "topics.a.compression", "topics.a.size"],
            id="wrong values",
        ),
        pytest.param("[topics.a]", ["topics.a.partitions", "topics.a.retention_days"], id="missing values"),
        pytest.param(
            "[topics.a]\npartitions = 1\nretention_days = 1\n[principals.p]\nread = ['b']\nwrite = ['c']",
            ["principals.p: the topic b is not declared", "principals.p: the topic c is not declared"],
            id="rights on unknown topics",
        ),
        pytest.param(
            "[topics.a]\npartitions = 1\nretention_days = 1\n[principals.p]\nalter = ['a']",
            ["principals.p.alter"],
            id="a right that is not given",
        ),
    ],
)
def test_every_error_is_told_at_once(text: str, problems: list[str]) -> None:
    with pytest.raises(DeclarationError) as caught:
        parse(text)

    lines = str(caught.value).splitlines()
    assert len(lines) == len(problems)
    assert all(line.startswith(problem) for line, problem in zip(lines, problems, strict=True))


def test_our_topics_are_those_that_the_code_names() -> None:
    assert [spec.name for spec in declared().topics] == [topics.INTERACTIONS, topics.SERVED, topics.INTERACTIONS_DLQ]
    assert topics.JOURNAL_KEEP.keys() <= {spec.name for spec in declared().topics}


def test_the_groups_are_those_that_the_code_names() -> None:
    groups = {(grant.principal, grant.name) for grant in declared().grants if grant.resource is Resource.GROUP}

    sinks = {("feed-rec-sink", SINK_GROUP), ("feed-rec-sink", SERVED_GROUP)}
    assert {*sinks, ("feed-rec-operator", REPLAY_GROUP)} <= groups


def test_no_record_with_a_user_id_is_kept_longer_than_an_erasure_may_take() -> None:
    """30 days: the limit of the file format, and of the erasure it stands for."""
    assert max(spec.retention_ms for spec in declared().topics) <= 30 * DAY_MS


def test_the_producer_may_write_and_describe_and_nothing_else() -> None:
    """Design, part 3: `feed-rec-producer`, write and describe on its topics."""
    principal, topic = "feed-rec-producer", topics.INTERACTIONS
    mine = [grant for grant in declared().grants if grant.principal == principal]

    assert mine == grants(principal, f"WRITE TOPIC {topic}", f"DESCRIBE TOPIC {topic}")
