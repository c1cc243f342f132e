"""`feed interactions tail` as a user runs it, beside a running service."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy.local.kafka import LocalKafka
from eventlog import topics
from eventlog.adapters.publisher_kafka import KafkaPublisher
from eventlog.ports import Record
from interactions.domain import log_record
from interactions.domain.event import InteractionEvent, InteractionType
from tests.embedded_ingest import EmbeddedIngest
from tests.http import post_json
from tests.system import ROOT

BOUND_S = 30.0
TAIL = [sys.executable, "-m", "deploy.cli", "interactions", "tail"]


@pytest.fixture(scope="module")
def ingest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedIngest]:
    """A running service."""
    process = EmbeddedIngest(tmp_path_factory.mktemp("ingest"))
    process.start()
    yield process
    process.stop()


def send(ingest: EmbeddedIngest, user_id: str, interaction_type: str = "LIKE") -> None:
    event = {"userId": user_id, "videoId": "v1", "interactionType": interaction_type}
    event["timestamp"] = datetime.now(UTC).isoformat()
    assert post_json(ingest.http_port, "/feed/interactions", event).status == 200


def environ(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FEED_")}
    return {**kept, "FEED_DATA_DIR": str(folder)}


def _hear_ctrl_c() -> None:
    """What a shell starts in the background ignores it, and so do its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def tailing(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Runs the command; it follows the log once it has said so."""
    process = subprocess.Popen(
        [*TAIL, *arguments],
        cwd=ROOT,
        env=environ(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_hear_ctrl_c,  # noqa: PLW1509  # nothing of it takes a lock
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    return process.stderr.readline()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_it_shows_live_events_until_ctrl_c(ingest: EmbeddedIngest) -> None:
    """Issue 5, "Metrics": `feed interactions tail` shows live events."""
    send(ingest, "before")
    with tailing(ingest.folder) as process:
        assert said(process).startswith("following feed.interactions.v1 in ")
        send(ingest, "u1")
        assert "LIKE     u1  v1  #0:" in line(process)
        send(ingest, "u2", "SKIP")
        assert "SKIP     u2  v1  #0:" in line(process)

        process.send_signal(signal.SIGINT)
        assert process.wait(BOUND_S) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_filters_and_json_from_the_start(ingest: EmbeddedIngest) -> None:
    for user_id, interaction_type in [("a", "LIKE"), ("b", "LIKE"), ("a", "SKIP"), ("a", "LIKE")]:
        send(ingest, user_id, interaction_type)
    arguments = ("--from-start", "--json", "--user", "a", "--type", "like", "--limit", "2")
    with tailing(ingest.folder, *arguments) as process:
        out, _ = process.communicate(timeout=BOUND_S)

    found = [json.loads(each) for each in out.splitlines()]
    assert [(each["userId"], each["interactionType"]) for each in found] == [("a", "LIKE")] * 2
    assert process.returncode == 0


def test_a_pipe_that_closes_ends_it_without_a_word(ingest: EmbeddedIngest) -> None:
    """As `| head -1` does."""
    with tailing(ingest.folder, "--from-start") as process:
        said(process)
        send(ingest, "u1")
        line(process)
        assert process.stdout is not None
        process.stdout.close()
        while process.poll() is None:
            send(ingest, "u1")
        assert process.stderr is not None
        assert (process.returncode, process.stderr.read()) == (0, "")


async def publish(config: dict[str, str], record: Record) -> None:
    publisher = KafkaPublisher(config, topics=[record.topic])
    await publisher.start()
    await publisher.publish_many([record])
    await publisher.close()


@pytest.mark.kafka
def test_the_same_on_kafka(kafka: LocalKafka, tmp_path: Path) -> None:
    config = {"bootstrap.servers": kafka.bootstrap_servers}
    topics.apply(config, specs=[topics.TopicSpec(topics.INTERACTIONS, partitions=6, retention_ms=3_600_000)])
    user_id = f"tail-{tmp_path.name}"
    event = InteractionEvent(user_id, "v1", InteractionType.LIKE, 0.0, datetime.now(UTC), str(uuid.uuid4()))
    asyncio.run(publish(config, Record(topics.INTERACTIONS, user_id, log_record.encode(event))))

    done = subprocess.run(
        [*TAIL, "--from-start", "--json", "--user", user_id, "--limit", "1"],
        cwd=ROOT,
        env=environ(tmp_path) | {"FEED_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, log_record.encode(event).decode() + "\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "told"),
    [
        pytest.param(("--type", "wink"), {}, 2, "must be one of VIEW, CLICK", id="no such type"),
        pytest.param((), {"FEED_NO_SUCH": "1"}, 2, "FEED_NO_SUCH", id="a wrong setting"),
        pytest.param((), {"FEED_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, 1, "Kafka", id="no broker"),
    ],
)
def test_what_is_wrong_is_told(
    tmp_path: Path, arguments: tuple[str, ...], environment: dict[str, str], code: int, told: str
) -> None:
    done = subprocess.run(
        [*TAIL, *arguments],
        cwd=ROOT,
        env=environ(tmp_path) | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code
    assert told in done.stderr
    assert "Traceback" not in done.stderr
