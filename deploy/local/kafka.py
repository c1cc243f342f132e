"""A real Apache Kafka broker (KRaft, one node) on loopback, with nothing installed but Python."""

import base64
import socket
import subprocess
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from deploy.local.errors import LocalServerError
from deploy.local.jars import ensure_jars
from deploy.local.java import find_java
from deploy.local.kafka_security import ADMIN, Security
from deploy.local.process import LocalServer, ServerProcess, free_port, port_is_free

_READY_TIMEOUT_S = 60.0
_FORMAT_TIMEOUT_S = 60.0
_METADATA_TIMEOUT_S = 1.0
# One broker for one developer: no parallel collector threads, and no time spent on optimising what runs for minutes.
_JVM_OPTIONS = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")
_LOG4J = """\
status = error
appender.stdout.type = Console
appender.stdout.name = stdout
appender.stdout.layout.type = PatternLayout
appender.stdout.layout.pattern = %d{ISO8601} %p %m (%c)%n
rootLogger.level = WARN
rootLogger.appenderRef.stdout.ref = stdout
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = INFO
"""


# Fetched once an environment, like its packages.
DEFAULT_LIBS: Final = Path(sys.prefix) / "share" / "feed" / "kafka"


class LocalKafka(LocalServer):
    """One broker that keeps its topics in a folder, so that a restart finds them again.

    Topics are never created by use: `auto.create.topics.enable` is off, as in production.

    Args:
        directory: Everything of this broker: data, configuration, log. Made when missing.
        port: Port of the broker; 0 takes a free one and keeps it for this object's restarts.
        libs: Where the jars are cached; shared between brokers. Default: in the virtual environment, with its packages.
        properties: More lines for `server.properties`, over ours.
        security: Users, rights and further ports; None: whoever reaches the port may do everything.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int = 0,
        libs: Path | None = None,
        properties: Mapping[str, str] | None = None,
        security: Security | None = None,
    ) -> None:
        self._directory = directory.resolve()
        self._libs = (libs or DEFAULT_LIBS).resolve()
        self._port = port
        self._controller_port = 0
        self._properties = dict(properties or {})
        self._security = security
        super().__init__(ServerProcess("kafka", self._directory))

    @property
    def bootstrap_servers(self) -> str:
        """Address for clients, once started."""
        return f"127.0.0.1:{self._port}"

    def client_config(self, user: str = ADMIN) -> dict[str, Any]:
        """Returns the connection part of a librdkafka configuration, once started.

        Args:
            user: Who connects, where there are users.
        """
        who = self._security.client_config(user) if self._security else {}
        return {"bootstrap.servers": self.bootstrap_servers, **who}

    def start(self) -> Self:
        """Starts the broker and returns once it answers.

        Raises:
            LocalServerError: No Java, no jars, the port is taken, or the broker did not come up (with its log's end).
        """
        java, libs = find_java(), ensure_jars(self._libs)
        self._directory.mkdir(parents=True, exist_ok=True)
        self._process.claim()
        self._choose_ports()
        self._write_configuration()
        self._format(java, libs)
        command = [*self._java_command(java, libs), "kafka.Kafka", str(self._config_path)]
        self._process.launch(command)
        self._process.wait_until(self._answers, _READY_TIMEOUT_S)
        return self

    @property
    def _config_path(self) -> Path:
        return self._directory / "server.properties"

    @property
    def _data_dir(self) -> Path:
        return self._directory / "data"

    def _choose_ports(self) -> None:
        self._port = self._port or free_port()
        self._controller_port = free_port()
        if not port_is_free(self._port):
            raise LocalServerError(
                f"Port {self._port} for Kafka is taken by another program; give another one or stop that."
            )

    def _write_configuration(self) -> None:
        lines = (f"{name}={value}\n" for name, value in (self._defaults() | self._secured() | self._properties).items())
        self._config_path.write_text("".join(lines))
        (self._directory / "log4j2.properties").write_text(_LOG4J)

    def _defaults(self) -> dict[str, str]:
        # A static quorum, not `--standalone`: that writes the controller's port into the data, and a restart may
        # have another.
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self._port},CONTROLLER://127.0.0.1:{self._controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self._port}",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(self._data_dir),
            "auto.create.topics.enable": "false",
            "group.initial.rebalance.delay.ms": "0",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "4",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),  # of 128 MiB, a quarter of this heap
        }

    def _secured(self) -> dict[str, str]:
        return self._security.properties(self._port, self._controller_port) if self._security else {}

    def _java_command(self, java: Path, libs: Path) -> list[str]:
        log4j = f"-Dlog4j2.configurationFile={self._directory / 'log4j2.properties'}"
        return [str(java), *_JVM_OPTIONS, log4j, "-cp", f"{libs}/*"]

    def _format(self, java: Path, libs: Path) -> None:
        if (self._data_dir / "meta.properties").exists():
            return
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        users = self._security.format_arguments() if self._security else []
        arguments = ["format", f"--cluster-id={cluster_id}", "--config", str(self._config_path), *users]
        command = [*self._java_command(java, libs), "kafka.tools.StorageTool", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_FORMAT_TIMEOUT_S, check=False)  # noqa: S603
        if done.returncode != 0:
            raise LocalServerError(f"Kafka's storage cannot be formatted:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")

    def _answers(self) -> bool:
        # The socket first: a client that finds nobody there would log each refused connection.
        try:
            socket.create_connection(("127.0.0.1", self._port), timeout=_METADATA_TIMEOUT_S).close()
        except OSError:
            return False
        try:
            metadata = AdminClient(self.client_config()).list_topics(timeout=_METADATA_TIMEOUT_S)
        except KafkaException:
            return False
        return bool(metadata.brokers)
