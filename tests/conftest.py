"""What tests share: the real servers, started once a run on loopback and a free port."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import hypothesis
import pytest
import sqlalchemy as sa

from deploy.filling import mark_finished
from deploy.local.kafka import LocalKafka
from deploy.local.postgres import LocalPostgres
from runtime.settings import CommonSettings, load
from storage.database import sync_engine, upgrade
from tests import spark as spark_of_tests
from tests.brokers import SOON_BACK, running
from tests.databases import fresh_postgres_url
from tests.datadog_agent import Agent
from tests.secured_kafka import SecuredKafka
from tests.system import System
from tests.trace_collector import Collector, collecting

# A model that is fitted in some seconds: what is shown of it is that it comes, serves and changes.
QUICK_MODEL: Final = {"FEED_TRAINER_DIMENSIONS": "16", "FEED_TRAINER_EPOCHS": "3"}
# A sixth of the log that an empty system makes for itself.
SMALL_LOG_USERS: Final = 400
SMALL_LOG: Final = ("seed", "--users", f"{SMALL_LOG_USERS}", "--videos", "400")

# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


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
    with running(LocalKafka(tmp_path_factory.mktemp("kafka"))) as server:
        yield server


@pytest.fixture(scope="session")
def killable_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """A broker that tests may kill and freeze, one test after the other; `as_new` mends it."""
    with running(LocalKafka(tmp_path_factory.mktemp("kafka"), properties=SOON_BACK)) as server:
        yield server


@pytest.fixture(scope="session")
def secured_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """A real Apache Kafka with users, rights and TLS, and the declared topics."""
    secured = SecuredKafka(tmp_path_factory.mktemp("secured"))
    with running(secured.server):
        secured.provide()
        yield secured


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    """A real PostgreSQL; `.url` of its first database."""
    with running(LocalPostgres(tmp_path_factory.mktemp("postgres"))) as server:
        yield server


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


# What `feed up` is started with.
SYSTEMS: Final = (
    pytest.param((), id="embedded"),
    pytest.param(
        ("--broker", "kafka", "--database", "postgres"), marks=[pytest.mark.kafka, pytest.mark.postgres], id="real"
    ),
)


@pytest.fixture(scope="session")
def trace_collector() -> Iterator[Collector]:
    """Gets the spans that the system keeps."""
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="session")
def datadog_agent() -> Iterator[Agent]:
    """Gets what the system tells Datadog."""
    agent = Agent(socket.AF_INET, ("127.0.0.1", 0))
    yield agent
    agent.close()


@pytest.fixture(scope="session", params=SYSTEMS)
def system(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    trace_collector: Collector,
    datadog_agent: Agent,
) -> Iterator[System]:
    """The whole system, ready, with a simulated log; it logs every call, and tells of traces and to Datadog."""
    told = {
        "FEED_TRACES_ENDPOINT": trace_collector.endpoint,
        "FEED_DOGSTATSD_ADDRESS": datadog_agent.address,
        "DD_ENV": "test",
        "DD_VERSION": "1.2.3",
    }
    with running_system(request, tmp_path_factory, FEED_LOG_LEVEL="DEBUG", **told) as made:
        yield made


@contextmanager
def running_system(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, **environ: str
) -> Iterator[System]:
    """Runs one of SYSTEMS.

    The embedded one begins with an empty folder, as a user's does. The other one remembers that it was filled with a
    small log once, and fills its database, which is empty again, with the same; but for the long tests.
    """
    folder: Path = tmp_path_factory.mktemp("system")
    if request.param and not request.config.getoption("--long"):
        mark_finished(folder / "filling.json", SMALL_LOG)
    made = System(folder, *request.param, environ={**QUICK_MODEL, **environ})
    made.start()
    yield made
    assert made.stop() == 0


@pytest.fixture
def system_database(system: System) -> Iterator[sa.Engine]:
    """The database of the running system."""
    settings = load(CommonSettings, {**system.environ, **system.servers()})
    engine = sync_engine(settings.effective_database_url)
    yield engine
    engine.dispose()
