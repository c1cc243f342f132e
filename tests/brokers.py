"""Real servers for tests, and brokers that tests may kill, freeze and use one after the other."""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import pytest
from confluent_kafka.admin import AdminClient

from deploy.local.errors import LocalServerError
from deploy.local.kafka import LocalKafka
from deploy.local.postgres import LocalPostgres
from deploy.topics import declared
from eventlog import topics
from eventlog.access import Grant
from tests.polling import wait_for

ServerT = TypeVar("ServerT", LocalKafka, LocalPostgres)

BOUND_S: Final = 30.0
# Kafka lets a broker that was killed in again once its session before has ended: by itself after 9 s.
SOON_BACK: Final = {"broker.session.timeout.ms": "2000", "broker.heartbeat.interval.ms": "500"}


@contextmanager
def running(server: ServerT) -> Iterator[ServerT]:
    """A server, from its start to its end; where there is none, the test fails where CI is set, and else is skipped."""
    try:
        server.start()
    except LocalServerError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"needs a real server: {error}")
    try:
        yield server
    finally:
        server.stop()


def as_new(server: LocalKafka, grants: Sequence[Grant] = ()) -> LocalKafka:
    """Returns a broker as a test wants it, whatever the one before did: it runs, has the declared topics, empty, and
    grants these rights.
    """
    if server.is_running:
        os.kill(server.pid, signal.SIGCONT)
    else:
        server.stop()  # only reaps it
        server.start()
    _remove_topics(server.client_config())
    topics.apply(server.client_config(), specs=declared().topics, grants=grants, say=lambda _line: None)
    return server


def _remove_topics(config: dict[str, Any]) -> None:
    admin = AdminClient(config)

    def there() -> set[str]:
        return set(admin.list_topics(timeout=BOUND_S).topics) & {spec.name for spec in declared().topics}

    old = there()
    for removed in admin.delete_topics(list(old)).values() if old else ():
        removed.result(BOUND_S)
    wait_for(there, lambda left: not left, BOUND_S)
