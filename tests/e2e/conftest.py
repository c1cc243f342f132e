"""One whole system, embedded and on the real servers, for all the tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system import System


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
    """A ready system with a small simulated log."""
    folder: Path = tmp_path_factory.mktemp("system")
    running = System(folder, *request.param, environ={"FEED_LOG_LEVEL": "DEBUG"})
    running.start()
    yield running
    assert running.stop() == 0
