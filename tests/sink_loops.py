"""Where a loop through the sink runs: embedded, or on the real Kafka and PostgreSQL."""

import functools
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from deploy.topics import declared
from eventlog import topics
from storage.database import upgrade
from tests.databases import fresh_postgres_url
from tests.polling import wait_for

WORLDS = ["embedded", pytest.param("real servers", marks=[pytest.mark.kafka, pytest.mark.postgres])]


def loop_settings(request: pytest.FixtureRequest, folder: Path, group: str) -> dict[str, Any]:
    """Provides the world that `request.param` names, and returns the settings that lead there; the group is empty."""
    settings: dict[str, Any] = {"data_dir": folder, "database_url": f"sqlite:///{folder / 'feed.db'}"}
    if request.param == "real servers":
        kafka = request.getfixturevalue("kafka").bootstrap_servers
        topics.apply({"bootstrap.servers": kafka}, specs=declared().topics, say=lambda _line: None)
        wait_for(functools.partial(_members, kafka, group), (0).__eq__, bound_s=60)
        url = fresh_postgres_url(request.getfixturevalue("postgres").url)
        # Without a port of its own a sink has no name in the group, and leaves it as soon as it ends.
        settings |= {"kafka_bootstrap_servers": kafka, "database_url": url, "sink_http_port": 0}
    upgrade(settings["database_url"])
    return settings


def _members(kafka: str, group: str) -> int:
    """Counts who is in a group: a sink that ended elsewhere keeps its partitions until its session ends."""
    admin = AdminClient({"bootstrap.servers": kafka})
    try:
        return len(admin.describe_consumer_groups([group], request_timeout=10)[group].result().members)
    except KafkaException:  # a broker that has just started does not know its groups yet
        return -1
