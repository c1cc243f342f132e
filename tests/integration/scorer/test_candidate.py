"""A candidate beside the live model, in a scorer that answers calls: shadow, canary, promotion, end."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from feed.scoring.v1 import scoring_pb2 as pb
from runtime.models import bundle_files, candidate_file, popularity_file
from runtime.models.candidate_file import CANDIDATE_FILE, Candidate, Mode
from runtime.models.model_bundle import text_table
from runtime.models.popularity import Popularity
from tests.http import call
from tests.integration.scorer.conftest import Scorer
from tests.model_bundles import TRAINED, forge, small_arrays
from tests.polling import until

USERS = [f"u{number}" for number in range(2_000)]
# Users of a call.
BATCH = 100
# Of everything that takes effect on all scorers.
EFFECT_BOUND_S = 5.0


def try_out(scorer: Scorer, mode: Mode, share: float, version: str = "m2") -> None:
    candidate_file.write(scorer.models_dir, Candidate(version, mode, share))


async def info(scorer: Scorer, mode: Mode) -> bool:
    labels = f'{{algorithm="lightfm-warp",mode="{mode.value}",model_version="m2"}}'
    return await scorer.metric(f"feed_scorer_candidate_info{labels} 1.0")


async def value(scorer: Scorer, name: str) -> float:
    text = (await call(scorer.service.http_port, "GET", "/metrics")).text
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found, name
    return float(found[1])


async def shadowed(scorer: Scorer, result: str) -> float:
    return await value(scorer, f'feed_scorer_candidate_rankings_total{{mode="shadow",result="{result}"}}')


async def refused(scorer: Scorer) -> float:
    return await value(scorer, 'feed_scorer_candidate_swaps_total{result="refused"}')


async def served_by(scorer: Scorer) -> dict[str, str]:
    """Asks for each user; returns the model that ranked."""
    versions: dict[str, str] = {}
    for start in range(0, len(USERS), BATCH):
        users = USERS[start : start + BATCH]
        request = pb.RankBatchRequest(requests=[pb.RankRequest(user_id=user_id) for user_id in users])
        responses = (await scorer.stub.RankBatch(request, timeout=5)).responses
        versions |= {user_id: each.model_version for user_id, each in zip(users, responses, strict=True)}
    return versions


@asynccontextmanager
async def under_load(scorer: Scorer) -> AsyncIterator[None]:
    """Asks all the time meanwhile; any failed call fails the test."""
    over = asyncio.Event()

    async def ask() -> None:
        while not over.is_set():
            await scorer.rank()

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(ask())
        yield
        over.set()


async def test_a_canary_serves_its_share_of_the_users_also_after_a_restart(scorer: Scorer, tmp_path: Path) -> None:
    scorer.publish("m2")
    async with under_load(scorer):
        try_out(scorer, Mode.CANARY, 0.2)
        await until(lambda: info(scorer, Mode.CANARY), expected=True, bound_s=EFFECT_BOUND_S)
        served = await served_by(scorer)
    assert set(served.values()) == {"m1", "m2"}
    tried_on = [user_id for user_id, version in served.items() if version == "m2"]
    # Five standard deviations.
    assert abs(len(tried_on) - 400) < 90
    alone = {user_id: (await scorer.rank(user_id)).model_version for user_id in USERS[:BATCH]}
    assert alone.items() <= served.items()

    again = Scorer(tmp_path)
    async with again.service:
        again.connect()
        assert await served_by(again) == served
        await again.channel.close()


async def test_shadow_canary_and_promotion_without_a_failed_call(scorer: Scorer) -> None:
    scorer.publish("m2")
    async with under_load(scorer):
        try_out(scorer, Mode.SHADOW, 1.0)
        await until(lambda: info(scorer, Mode.SHADOW), expected=True, bound_s=EFFECT_BOUND_S)
        assert await scorer.version() == "m1"
        try_out(scorer, Mode.CANARY, 1.0)
        await until(scorer.version, "m2", bound_s=EFFECT_BOUND_S)
        candidate_file.remove(scorer.models_dir)
        await until(scorer.version, "m1", bound_s=EFFECT_BOUND_S)
        try_out(scorer, Mode.CANARY, 1.0)
        await until(scorer.version, "m2", bound_s=EFFECT_BOUND_S)
        # It is in memory and verified: nothing of it is read again.
        (scorer.models_dir / "m2" / bundle_files.ARRAYS_FILE).unlink()
        scorer.promote("m2")
        live = 'feed_scorer_model_info{algorithm="lightfm-warp",model_version="m2"} 1.0'
        await until(lambda: scorer.metric(live), expected=True, bound_s=EFFECT_BOUND_S)
        assert await scorer.version() == "m2"
        assert not await info(scorer, Mode.CANARY)


async def test_a_shadow_of_an_equal_model_agrees_and_drops_what_is_too_much(scorer: Scorer) -> None:
    """Every call is answered by the live model, and each is accounted for: ranked beside it, or dropped."""
    scorer.publish("m2")
    try_out(scorer, Mode.SHADOW, 1.0)
    await until(lambda: info(scorer, Mode.SHADOW), expected=True)
    answers = await asyncio.gather(*(scorer.rank() for _ in range(300)))
    assert {(each.model_version, *each.video_ids) for each in answers} == {("m1", "v3", "v2", "v1", "v0")}

    async def accounted_for() -> float:
        return await shadowed(scorer, "ranked") + await shadowed(scorer, "dropped")

    await until(accounted_for, 300.0)
    ranked = await shadowed(scorer, "ranked")
    assert 1 <= ranked < 300
    assert await shadowed(scorer, "failed") == 0
    assert await value(scorer, 'feed_scorer_shadow_overlap_ratio_sum{depth="10"}') == ranked
    assert await value(scorer, "feed_scorer_shadow_duration_seconds_count") == ranked


async def test_what_is_watched_now_changes_the_candidates_ranking(scorer: Scorer) -> None:
    scorer.publish("m2", params={"recent_weight": 1.0, "bias_share": 0.0})
    try_out(scorer, Mode.CANARY, 1.0)
    await until(scorer.version, "m2")
    views = np.array([np.expm1(10.0)], np.float32)
    counted = Popularity(TRAINED + timedelta(hours=1), 1, 86_400.0, text_table(["v1"]), views)
    popularity_file.publish(scorer.models_dir, counted, scorer.key)

    async def first() -> str:
        return (await scorer.rank()).video_ids[0]

    await until(first, "v1")


async def test_a_candidate_that_does_not_fit_into_memory_is_refused(
    scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(bundle_files, "read", too_large)
    try_out(scorer, Mode.CANARY, 1.0)
    await until(lambda: refused(scorer), 1.0)
    assert await scorer.version() == "m1"


async def test_a_bad_candidate_is_refused_and_the_live_model_serves(scorer: Scorer) -> None:
    forge(scorer.models_dir, scorer.key, {**small_arrays().named(), "item_active": [False] * 5}, "m2")
    scorer.publish("m3")
    (scorer.models_dir / "m3" / bundle_files.SIGNATURE_FILE).write_bytes(bytes(64))
    async with under_load(scorer):
        for count, version in enumerate(("m2", "m3"), start=1):
            try_out(scorer, Mode.CANARY, 1.0, version)
            await until(lambda: refused(scorer), float(count))
            assert await scorer.version() == "m1"
        (scorer.models_dir / CANDIDATE_FILE).write_text("m4")
        await until(lambda: refused(scorer), 3.0)
        assert await scorer.version() == "m1"
        assert await scorer.ready() == 200
