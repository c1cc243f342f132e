"""A real ingest service, and both ways to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.embedded_ingest import EmbeddedIngest


@pytest.fixture(scope="module")
def ingest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedIngest]:
    """A running ingest process, for the tests of a module; what is in its log is not only theirs."""
    process = EmbeddedIngest(tmp_path_factory.mktemp("ingest"))
    process.start()
    yield process
    assert process.stop() == 0


@pytest.fixture
def own_ingest(tmp_path: Path) -> Iterator[EmbeddedIngest]:
    """An ingest process of the test's own, not started yet."""
    process = EmbeddedIngest(tmp_path)
    yield process
    process.stop()


@pytest.fixture(params=["http", "grpc"])
def way(request: pytest.FixtureRequest) -> str:
    """How the client reaches the service."""
    return str(request.param)
