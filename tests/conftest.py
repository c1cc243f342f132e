"""What tests share: the real servers, started once a run on loopback and a free port."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from deploy.local.errors import LocalServerError
from deploy.local.kafka import LocalKafka
from deploy.local.postgres import LocalPostgres
from runtime.settings import CommonSettings, load
from storage.database import sync_engine, upgrade
from tests import spark as spark_of_tests
from tests.databases import fresh_postgres_url
from tests.secured_kafka import SecuredKafka
from tests.system import System


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the long chaos and soak tests too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--long"):
        return
    for item in items:
        if "long" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="long; make chaos runs it"))


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """A real Apache Kafka without topics; `.bootstrap_servers`."""
    server = LocalKafka(tmp_path_factory.mktemp("kafka"))
    yield from _running(server)


@pytest.fixture(scope="session")
def secured_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """A real Apache Kafka with users, rights and TLS, and the declared topics."""
    secured = SecuredKafka(tmp_path_factory.mktemp("secured"))
    for _ in _running(secured.server):
        secured.provide()
        yield secured


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    """A real PostgreSQL; `.url` of its first database."""
    yield from _running(LocalPostgres(tmp_path_factory.mktemp("postgres")))


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A session of Spark in this process."""
    return spark_of_tests.session(tmp_path_factory.mktemp("spark"))


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new, empty database with the newest schema, of each kind in turn."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'feed.db'}"
    else:
        url = fresh_postgres_url(request.getfixturevalue("postgres").url)
    upgrade(url)
    return url


@pytest.fixture(
    scope="session",
    params=[
        pytest.param((), id="embedded"),
        pytest.param(
            ("--broker", "kafka", "--database", "postgres"),
            marks=[pytest.mark.kafka, pytest.mark.postgres],
            id="real",
        ),
    ],
)
def system(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """The whole system, ready, with a simulated log; it logs every call."""
    folder: Path = tmp_path_factory.mktemp("system")
    running = System(folder, *request.param, environ={"FEED_LOG_LEVEL": "DEBUG"})
    running.start()
    yield running
    assert running.stop() == 0


@pytest.fixture
def system_database(system: System) -> Iterator[sa.Engine]:
    """The database of the running system."""
    settings = load(CommonSettings, {**system.environ, **system.servers()})
    engine = sync_engine(settings.effective_database_url)
    yield engine
    engine.dispose()


def _running(server: LocalKafka | LocalPostgres) -> Iterator[Any]:
    try:
        server.start()
    except LocalServerError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"needs a real server: {error}")
    yield server
    server.stop()
