"""Issue 6: people scroll while models change, scorers die and bridges restart; nobody sees a repeat, a gap or an error.

A page token carries the ranking, so that another bridge, another model and no scorer at all make no difference to it;
when the ranking runs out, the session goes on with what it has not shown.
"""

import asyncio
import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from feed.recommendations.v1 import recommendations_pb2 as pb
from runtime.models import bundle_files
from runtime.models.model_bundle import ModelArrays
from runtime.secrets.signing import load_or_create_private_key
from storage.database import sync_engine, upgrade
from storage.tables import videos
from tests.chaos.conftest import Reporter
from tests.chaos.processes import Running
from tests.chaos.rig import Rig
from tests.chaos.scrolling import PAGE_SIZE, Rhythm, Scroll, at_intervals, bridges_at, crowd, models, scroll, sources
from tests.integration.bridge.conftest import PUBLISHED
from tests.model_bundles import arrays_of, manifest_of

TARGET = "0 repeats, 0 gaps, 0 non-OK"
PAGES = 20
MANY_VIDEOS = 1_200
FEW_VIDEOS = 300
MODELS = ("m1", "m2", "m3")
# Whom no model knows: one in so many, who scroll through what everybody gets.
STRANGERS = 10
EVERYTHING_ON: dict[str, object] = {"shuffle": 0.3, "diversity": 0.3, "max_run": 3, "exploration": 0.1}


def publish(folder: Path, video_ids: Sequence[str], user_ids: Sequence[str]) -> None:
    """Publishes several models of the same users and videos, each with another taste, and lets the first one serve."""
    key = load_or_create_private_key(folder / "keys" / "model_signing.pem")
    for seed, version in enumerate(MODELS):
        arrays = drawn(arrays_of(dict.fromkeys(user_ids, (0.0, 0.0, 0.0)), video_ids), seed)
        bundle_files.publish(folder / "models", manifest_of(version), arrays, key)
    bundle_files.promote(folder / "models", MODELS[0])


def drawn(arrays: ModelArrays, seed: int) -> ModelArrays:
    """Draws the embeddings by lot: each user has an order of his own."""
    lot = np.random.default_rng(seed)
    users, items = arrays.user_factors.copy(), arrays.item_factors.copy()
    users[:, 2:] = lot.normal(size=users[:, 2:].shape)
    items[:, 2:] = lot.normal(size=items[:, 2:].shape)
    return dataclasses.replace(arrays, user_factors=users, item_factors=items)


def announce(folder: Path, video_ids: Sequence[str], inactive: Sequence[str] = ()) -> None:
    """Puts the videos into the catalogue."""
    url = f"sqlite:///{folder / 'feed.db'}"
    upgrade(url)
    engine = sync_engine(url)
    rows = [
        {"video_id": each, "tags": [], "published_at": PUBLISHED, "is_active": each not in inactive}
        for each in (*video_ids, *inactive)
    ]
    with engine.begin() as connection:
        connection.execute(sa.insert(videos), rows)
    engine.dispose()


def ids(count: int) -> list[str]:
    return [f"v{number:04}" for number in range(count)]


def faults_of(folder: Path, scorers: Sequence[Running], bridges: Sequence[Running]) -> list[Callable[[], None]]:
    """Returns what happens: models change, the scorers die twice, the bridges restart."""

    def swap(version: str) -> Callable[[], None]:
        return lambda: bundle_files.promote(folder / "models", version)

    def die(*dying: Running) -> Callable[[], None]:
        def act() -> None:
            for each in dying:
                each.kill()
            for each in dying:
                each.launch()
            for each in dying:
                each.wait_until_ready()

        return act

    def restart(bridge: Running) -> Callable[[], None]:
        def act() -> None:
            assert bridge.stop() == 0
            bridge.start()

        return act

    return [
        swap("m2"),
        die(scorers[0]),
        restart(bridges[0]),
        die(*scorers),
        swap("m3"),
        die(bridges[1]),
        swap("m1"),
    ]


async def test_nobody_sees_a_repeat_a_gap_or_an_error(rig: Rig, long: bool, report: Reporter):
    at_a_time = 1_000 if long else 60
    known = [f"u{number}" for number in range(1, 3 * at_a_time)]
    people = itertools.chain(
        (f"stranger{user}" if number % STRANGERS == 0 else user for number, user in enumerate(known)),
        # A slow machine takes its time over a restart, and people keep coming meanwhile.
        (f"stranger{number}" for number in itertools.count()),
    )
    publish(rig.folder, ids(MANY_VIDEOS), known)
    announce(rig.folder, ids(MANY_VIDEOS))
    scorers = [rig.scorer(), rig.scorer()]
    bridges = rig.bridges(2, *(each.target for each in scorers), **EVERYTHING_ON)
    faults = faults_of(rig.folder, scorers, bridges)
    # Some 150 pages a second.
    rhythm = Rhythm(6.0, 60.0) if long else Rhythm(0.3, 3.0)
    async with bridges_at(*(each.target for each in bridges)) as client:
        trouble = asyncio.create_task(at_intervals(client, at_a_time * PAGES, faults))
        scrolls = await crowd(client, people, at_a_time, PAGES, rhythm, trouble)
        await trouble

    figures = judged(scrolls)
    wrong = [each for got in scrolls for each in (*got.non_ok, *got.gaps(MANY_VIDEOS))]
    report(
        "scroll",
        "people scroll while models swap, scorers die and bridges restart",
        target=TARGET,
        met=not any(figures[name] for name in ("repeats", "gaps", "non_ok", "shed")),
        **figures,
        wrong="; ".join(wrong[:3]),
    )
    assert wrong == []
    assert figures["repeats"] == 0
    assert {len(got.pages) for got in scrolls} == {PAGES}
    assert figures["lost"] > 0, "no bridge was missed: the restarts were not felt"
    assert models(scrolls) == set(MODELS), "not every model was felt"
    missed = {pb.FallbackReason.Name(page.fallback_reason) for got in scrolls for page in got.pages}
    assert missed & {"UNAVAILABLE", "CIRCUIT_OPEN", "DEADLINE"}, "no scorer was missed"


def judged(scrolls: Sequence[Scroll]) -> dict[str, int]:
    """Returns the figures of a run."""
    return {
        "people": len(scrolls),
        "pages": sum(len(got.pages) for got in scrolls),
        "repeats": sum(got.repeats() for got in scrolls),
        "gaps": sum(len(got.gaps(MANY_VIDEOS)) for got in scrolls),
        "non_ok": sum(len(got.non_ok) for got in scrolls),
        "lost": sum(got.lost for got in scrolls),
        "shed": sum(got.shed for got in scrolls),
        **{f"pages_{source.lower()}": count for source, count in Counter(sources(scrolls)).items()},
    }


@pytest.mark.parametrize("user_id", ["u1", "stranger"])
async def test_a_session_ends_when_every_active_video_was_shown_once(rig: Rig, user_id: str):
    """The catalogue is larger than what a scorer is asked for at a time, so the session has to go on by itself."""
    publish(rig.folder, ids(FEW_VIDEOS), ["u1"])
    announce(rig.folder, ids(FEW_VIDEOS), inactive=["gone1", "gone2"])
    bridge = rig.bridge(rig.scorer().target)
    async with bridges_at(bridge.target) as client:
        got = await scroll(client, user_id, pages=FEW_VIDEOS)

    assert got.non_ok == []
    assert got.gaps(FEW_VIDEOS) == []
    assert sorted(got.video_ids) == ids(FEW_VIDEOS)
    assert got.pages[-1].next_page_token == ""


async def test_the_same_token_gives_the_same_page_at_every_bridge(rig: Rig):
    """A client whose answer was lost asks again: it must not miss the videos of the page that it never saw."""
    publish(rig.folder, ids(MANY_VIDEOS), ["u1"])
    announce(rig.folder, ids(MANY_VIDEOS))
    scorer = rig.scorer()
    bridges = rig.bridges(2, scorer.target)
    async with bridges_at(bridges[0].target) as one, bridges_at(bridges[1].target) as other:
        first, again = Scroll("u1"), Scroll("u1")
        request = pb.GetRecommendationsRequest(user_id="u1", page_size=PAGE_SIZE)
        assert await one.page(request, first, 0)
        request.page_token = first.pages[0].next_page_token
        for client in itertools.islice(itertools.cycle((one, other)), 4):
            assert await client.page(request, again, 0)

    assert again.non_ok == []
    assert len({tuple(item.video_id for item in page.recommendations) for page in again.pages}) == 1
