"""The insights as people look at it: with pages that were served, trainings, and a models folder."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import pytest

from insights.app import build
from insights.settings import InsightsSettings
from interactions.domain.event import InteractionType
from runtime.access.guard import guard_of
from runtime.process import Service
from runtime.settings import load
from storage import trainings
from storage.database import Database, sync_engine
from storage.trainings import TrainingEnd, TrainingStart, TrainingStatus
from tests.browser import Browser, needed_chromium
from tests.http import call
from tests.integration.insights.books import SECRET, Books, event, page
from tests.model_bundles import manifest_of, small_arrays
from tests.polling import until
from tests.secret_files import write_secret
from trainer.adapters.bundle_store import BundleStore

NOW = datetime.now(UTC).replace(microsecond=0)
VERSIONS = ("m1", "m2", "m3")
# Nobody is asked for metrics unless a test says so.
QUIET = {"FEED_INSIGHTS_WATCHED": ""}

Start: TypeAlias = Callable[..., Awaitable[Service]]


@pytest.fixture
async def start(database_url: str, tmp_path: Path) -> AsyncIterator[Start]:
    """Starts the process, with more settings."""
    key = tmp_path / "bridge" / "token.key"
    key.parent.mkdir()
    write_secret(key, SECRET)
    started: list[Service] = []

    async def started_with(**more: str) -> Service:
        environ = {"FEED_DATA_DIR": str(tmp_path), "FEED_DATABASE_URL": database_url, **QUIET, **more}
        settings = load(InsightsSettings, environ)
        service = Service("insights", build(settings), guard=guard_of(settings))
        await service.__aenter__()
        started.append(service)

        async def ready() -> int:
            return (await call(service.http_port, "GET", "/readyz")).status

        await until(ready, 200)
        return service

    yield started_with
    for service in started:
        await service.__aexit__(None, None, None)


@pytest.fixture
def store(tmp_path: Path) -> BundleStore:
    """Three models, of which m2 serves."""
    store = BundleStore(tmp_path / "models", tmp_path / "keys" / "model_signing.pem")
    for version in VERSIONS:
        store.publish(manifest_of(version), small_arrays())
    store.promote("m2")
    return store


@pytest.fixture
def register(database_url: str) -> None:
    """The trainings of the three models, and one that was refused."""
    ends = dict.fromkeys(VERSIONS, TrainingStatus.SUCCEEDED) | {"m4": TrainingStatus.REFUSED}
    engine = sync_engine(database_url)
    for nth, (version, status) in enumerate(ends.items()):
        began = NOW - timedelta(days=4 - nth)
        end = TrainingEnd(
            status,
            began + timedelta(minutes=5),
            "worse than <b>popularity</b>" if status is TrainingStatus.REFUSED else None,
            {"interactions": 31_956 + nth},
            {"ndcg_at_10": 0.18 + nth / 100, "popularity_ndcg_at_10": 0.12, "coverage_at_10": 0.7},
        )
        with engine.begin() as connection:
            trainings.register(connection, TrainingStart(version, "lightfm-warp", {}, {}, began, "job"))
            trainings.finish(connection, version, end)
    engine.dispose()


async def fill(database: Database, served: int = 12) -> Books:
    """Serves pages of the model and others over three days, and acts on some of them."""
    books = Books(database)
    made = [
        page(
            f"r{nth}",
            [f"v{nth}", f"w{nth}"],
            NOW - timedelta(days=nth % 3),
            **({"source": "TRENDING", "fallbackReason": "DEADLINE"} if nth % 4 == 0 else {}),
        )
        for nth in range(served)
    ]
    await books.serve(*made)
    await books.act(*(event(InteractionType.LIKE, NOW, recommendation_id=f"r{n}", video_id=f"v{n}") for n in (0, 3)))

    async def on_the_ledger() -> tuple[int, int]:
        state = await books.state()
        return state.served, state.by_outcome["liked"]

    await until(on_the_ledger, (2 * served, 2))
    return books


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all."""
    with Browser(needed_chromium(), tmp_path_factory.mktemp("browser") / "profile") as found:
        yield found
