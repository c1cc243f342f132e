"""An experiment from its start to the record of each page, in a running bridge."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bridge.adapters.experiments_database import DatabaseExperiments
from bridge.adapters.lists_file import FileLists
from bridge.domain.experiments import KnownExperiments
from bridge.ports import ListError
from fakes.scorer.server import FakeScorer
from feed.recommendations.v1 import recommendations_pb2 as pb
from runtime.experiments import Parameter, RankedBy, Variant
from storage import experiments
from storage.audit import Actor, Door
from storage.database import Database
from storage.experiment_rules import Definition
from tests.http import call
from tests.integration.bridge.conftest import RunningBridge, StartBridge
from tests.integration.bridge.test_served import published, records
from tests.polling import until

NOW = datetime(2025, 9, 1, 12, tzinfo=UTC)
ADMIN = Actor("ann", Door.CLI)
VARIANTS = [
    Variant("control", 1.0),
    Variant("calm", 1.0, parameters={Parameter.DIVERSITY: 0.75}),
    Variant("plain", 1.0, RankedBy.TRENDING),
]
CALM = Definition("calm", "feed", 1.0, VARIANTS, "", "ann")


async def running(bridge: RunningBridge, count: float) -> None:
    async def answer() -> float:
        return bridge.metric("feed_bridge_experiments")

    await until(answer, count)


async def test_users_are_given_variants_from_start_to_stop(
    start_bridge: StartBridge, scorer: FakeScorer, tmp_path: Path
) -> None:
    async with start_bridge(scorer.target, experiments_poll_ms=50) as bridge:
        database = Database(f"sqlite:///{tmp_path / 'feed.db'}")
        async with database.begin() as connection:
            await experiments.create(connection, CALM, NOW, Door.CLI)
            started = await experiments.start(connection, "calm", NOW, ADMIN)
        await running(bridge, 1)
        pages = {f"u{number}": await bridge.page(f"u{number}") for number in range(30)}
        async with database.begin() as connection:
            await experiments.stop(connection, "calm", NOW, ADMIN)
        await running(bridge, 0)
        after = await bridge.page()
        await database.close()
        await published(bridge, 31)

    given = {user: page.experiments[0].variant for user, page in pages.items()}
    assert given == {user: started.experiment.variant_of(user).name for user in pages}
    assert set(Counter(given.values())) == {"control", "calm", "plain"}
    for user, variant in given.items():
        assert pages[user].source == (pb.TRENDING if variant == "plain" else pb.LIGHTFM)
        assert pages[user].fallback_reason == pb.NONE
    assert list(after.experiments) == []
    found = {record["userId"]: record["experiments"] for record in records(tmp_path / "eventlog")[:30]}
    assert found == {user: [{"experiment": "calm", "variant": variant}] for user, variant in given.items()}


async def test_a_tester_chooses_over_http(start_bridge: StartBridge, scorer: FakeScorer, tmp_path: Path) -> None:
    async with start_bridge(scorer.target, experiments_poll_ms=50, experiment_overrides=True) as bridge:
        database = Database(f"sqlite:///{tmp_path / 'feed.db'}")
        async with database.begin() as connection:
            await experiments.create(connection, CALM, NOW, Door.CLI)
        await database.close()

        async def answer() -> str:
            path = "/feed/recommendations?userId=u1&experimentOverrides=calm%3Dplain"
            return str((await call(bridge.service.http_port, "GET", path)).json.get("source"))

        await until(answer, "TRENDING")
        wrong = await call(bridge.service.http_port, "GET", "/feed/recommendations?userId=u1&experimentOverrides=calm")
    assert wrong.status == 400
    assert "must be an experiment and a variant, such as order=calm" in wrong.text


@pytest.fixture
async def known(database_url: str) -> KnownExperiments:
    database = Database(database_url)
    async with database.begin() as connection:
        for name, layer in (("draft", "a"), ("b", "feed"), ("c", "feed"), ("over", "feed"), ("first", "a")):
            await experiments.create(connection, replace(CALM, name=name, layer=layer, traffic=0.3), NOW, Door.CLI)
            if name != "draft":
                await experiments.start(connection, name, NOW, ADMIN)
        await experiments.stop(connection, "over", NOW, ADMIN)
    found = await DatabaseExperiments(database).known()
    await database.close()
    return found


async def test_what_runs_is_read_layer_by_layer(known: KnownExperiments) -> None:
    assert [each.name for each in known.running] == ["first", "b", "c"]
    assert [each.name for each in known.drafts] == ["draft"]
    assert list(known.running[0].variants) == VARIANTS


async def test_what_was_read_is_the_same_after_a_restart(known: KnownExperiments, tmp_path: Path) -> None:
    store = FileLists(tmp_path)
    await store.save("experiments", known)
    assert await store.load("experiments", KnownExperiments) == known


async def test_a_database_that_is_down_is_an_error_of_the_port() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(ListError):
        await DatabaseExperiments(database).known()
    await database.close()
