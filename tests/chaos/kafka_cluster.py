"""Three real Kafka brokers, one a host: each is broker and controller, each record is on all, two must have it."""

import base64
import shlex
import signal
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from deploy.local.jars import ensure_jars
from deploy.local.java import find_java
from deploy.local.kafka import DEFAULT_LIBS
from deploy.local.process import ServerProcess
from deploy.topics import declared
from eventlog import topics
from tests.chaos.hosts import Host
from tests.polling import wait_for

PORT: Final = 9092
_CONTROLLER_PORT: Final = 9093
_BOUND_S: Final = 120.0
_ASK_S: Final = 5.0
_JVM: Final = ("-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


@dataclass(frozen=True, slots=True)
class Cluster:
    """The brokers, with the declared topics.

    Args:
        config: How librdkafka connects to them.
    """

    config: dict[str, Any]

    def is_whole(self) -> bool:
        """Says whether every broker has every record."""
        try:
            found = _admin(self.config).list_topics(timeout=_ASK_S)
        except KafkaException:
            return False
        partitions = [each for topic in found.topics.values() for each in topic.partitions.values()]
        return all(set(each.isrs) == set(each.replicas) for each in partitions)


@contextmanager
def cluster(folder: Path, on: Sequence[Host]) -> Iterator[Cluster]:
    """Runs a broker on each of these hosts."""
    java, libs = find_java(), ensure_jars(DEFAULT_LIBS)
    identity = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    with ExitStack() as closing:
        for number, host in enumerate(on, start=1):
            home = folder / host.name
            home.mkdir(parents=True)
            config = home / "server.properties"
            config.write_text("".join(f"{name}={value}\n" for name, value in _properties(number, on, home).items()))
            run = shlex.join([*host.place.prefix, str(java), *_JVM, "-cp", f"{libs}/*"])
            format_ = f"kafka.tools.StorageTool format --cluster-id={identity} --config {config}"
            # An orderly end would have the last ones wait for the others in vain.
            process = ServerProcess("kafka", home, stop_signal=signal.SIGKILL)
            closing.callback(process.stop)
            process.launch(["sh", "-c", f"{run} {format_} && exec {run} kafka.Kafka {config}"])
        made = Cluster({"bootstrap.servers": ",".join(f"{host.address}:{PORT}" for host in on)})
        wait_for(lambda: _brokers(made), lambda count: count == len(on), _BOUND_S)
        copies = topics.Copies(replication_factor=len(on), min_insync_replicas=len(on) - 1)
        topics.apply(made.config, specs=declared().topics, copies=copies, say=lambda _line: None)
        yield made


def _admin(config: dict[str, Any]) -> AdminClient:
    # It would write down every connection that is refused.
    return AdminClient({**config, "log_level": "0"})


def _brokers(made: Cluster) -> int:
    try:
        return len(_admin(made.config).list_topics(timeout=_ASK_S).brokers)
    except KafkaException:
        return 0


def _properties(number: int, on: Sequence[Host], home: Path) -> dict[str, str]:
    host = on[number - 1]
    listeners = f"PLAINTEXT://{host.address}:{PORT},CONTROLLER://{host.address}:{_CONTROLLER_PORT}"
    voters = ",".join(f"{each}@{voter.address}:{_CONTROLLER_PORT}" for each, voter in enumerate(on, start=1))
    return {
        "process.roles": "broker,controller",
        "node.id": str(number),
        "controller.quorum.voters": voters,
        "listeners": listeners,
        "advertised.listeners": f"PLAINTEXT://{host.address}:{PORT}",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(home / "data"),
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": "0",
        "offsets.topic.replication.factor": str(len(on)),
        "offsets.topic.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        # A broker that is cut off is out of its partitions soon, not only after 30 s.
        "replica.lag.time.max.ms": "5000",
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
    }
