"""Chaos tests: real processes under real load, and faults. With --long they last as long as the targets say."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from deploy.local.kafka import LocalKafka
from deploy.local.postgres import LocalPostgres
from storage.database import upgrade
from tests.brokers import as_new
from tests.chaos import figures
from tests.chaos.ingest_rig import IngestRig
from tests.chaos.rig import Rig
from tests.databases import fresh_postgres_url
from tests.fuzzing.site import Site, site


class Reporter:
    """Reports a figure; in the long form its target must be met."""

    def __init__(self, long: bool) -> None:
        self.long = long

    def __call__(self, name: str, what: str, *, target: str, met: bool, **measured: figures.Figure) -> None:
        figures.report(name, what, target=target, met=met, **measured)
        assert met or not self.long, f"{name} {what}: {target}; measured {measured}"


def pytest_configure(config: pytest.Config) -> None:
    """Collects the figures in a file of this run, unless somebody named one."""
    if figures.FILE_VARIABLE not in os.environ:
        number, path = tempfile.mkstemp(prefix="figures-", suffix=".jsonl")
        os.close(number)
        os.environ[figures.FILE_VARIABLE] = path
        config.add_cleanup(lambda: _forget(path))


def _forget(path: str) -> None:
    Path(path).unlink()
    del os.environ[figures.FILE_VARIABLE]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Shows the figures where nothing captures them."""
    for line in figures.reported():
        terminalreporter.write_line(line)


@pytest.fixture
def long(pytestconfig: pytest.Config) -> bool:
    """Whether the long form is asked for."""
    return bool(pytestconfig.getoption("--long"))


@pytest.fixture
def report(long: bool) -> Reporter:
    """Reports a figure."""
    return Reporter(long)


@pytest.fixture
def rig(tmp_path: Path, long: bool) -> Iterator[Rig]:
    """Processes, ended with the test."""
    with ExitStack() as closing:
        yield Rig(tmp_path, closing, long=long)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """All servers, in which nobody is asked who he is; what is sent to them must do no harm."""
    with site(tmp_path_factory.mktemp("servers")) as running:
        yield running


@pytest.fixture
def broker(killable_kafka: LocalKafka) -> LocalKafka:
    """A broker that runs and has the topics, empty; the test may kill it."""
    return as_new(killable_kafka)


@pytest.fixture
def ingest(tmp_path: Path, broker: LocalKafka, postgres: LocalPostgres, long: bool) -> Iterator[IngestRig]:
    """Ingest services and sinks on real Kafka and PostgreSQL, ended with the test."""
    url = fresh_postgres_url(postgres.url)
    upgrade(url)
    with ExitStack() as closing:
        yield IngestRig(tmp_path, closing, broker, url, long=long)
