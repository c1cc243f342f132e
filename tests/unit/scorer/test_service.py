"""Who is answered, and with which model."""

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from runtime.errors import FailedPreconditionError
from runtime.models.model_bundle import BundleError, BundleFault, IndexInfo, ModelBundle, text_table
from runtime.models.popularity import Popularity, PopularityError
from scorer import service as service_module
from scorer.candidate import CandidateSlot
from scorer.domain.wish import Wish
from scorer.metrics import CandidateMetrics, ScorerMetrics
from scorer.models import ModelSlot
from scorer.ports import MemoryModels
from scorer.service import DeadlinePassedError, ScoringService
from scorer.shadow import Shadow
from tests.model_bundles import TRAINED, manifest_of, small_arrays, small_bundle


class Parts:
    """A service on models in memory, with a clock that the test moves."""

    def __init__(self, source: MemoryModels) -> None:
        self.registry = CollectorRegistry()
        self.metrics = ScorerMetrics(self.registry)
        self.source = source
        self.slot = ModelSlot(source, self.metrics)
        self.now_s = 100.0
        self.step_s = 0.0
        tried = CandidateMetrics(self.registry)
        self.candidates = CandidateSlot(source, self.slot, tried)
        self.shadow = Shadow(self.candidates, tried, self._tick)
        self.service = ScoringService(self.slot, self.candidates, self.shadow, self.metrics, self._tick)

    def _tick(self) -> float:
        self.now_s += self.step_s
        return self.now_s

    def take_offered(self) -> str | None:
        version = self.slot.offered()
        if version is None:
            return None
        try:
            self.slot.swap(self.slot.load(version))
        except BundleError as error:
            self.slot.refuse(version, error)
        return version

    def take_counted(self) -> bool:
        stamp = self.slot.popularity_counted()
        model = None if stamp is None else self.slot.freshened(stamp)
        if model is not None:
            self.slot.freshen(model)
        return model is not None

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


@pytest.fixture
def parts() -> Parts:
    built = Parts(MemoryModels(small_bundle("m1")))
    built.take_offered()
    return built


async def test_without_a_model_the_reason_is_said() -> None:
    with pytest.raises(FailedPreconditionError) as refused:
        await Parts(MemoryModels()).service.rank([Wish("up")], None)
    assert refused.value.reason == "MODEL_MISSING"


async def test_each_wish_is_answered_in_order(parts: Parts) -> None:
    ranked = await parts.service.rank([Wish("up", k=2), Wish("stranger"), Wish("down", k=1)], None)
    assert [each.video_ids for each in ranked.rankings] == [["v3", "v2"], [], ["v0"]]
    assert [each.known for each in ranked.rankings] == [True, False, True]
    assert parts.metric("feed_scorer_ranked_users_total", known="false") == 1
    assert parts.metric("feed_scorer_rank_duration_seconds_count") == 1


async def test_large_work_leaves_the_event_loop_and_answers_the_same(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = await parts.service.rank([Wish("up"), Wish("down")], None)
    monkeypatch.setattr(service_module, "LOOP_WORK", 0)
    assert (await parts.service.rank([Wish("up"), Wish("down")], 5.0)).rankings == small.rankings
    parts.service.close()


@pytest.mark.parametrize("timeout_s", [0.0, -1.0])
async def test_work_that_nobody_waits_for_is_dropped(parts: Parts, timeout_s: float) -> None:
    parts.step_s = 0.1
    with pytest.raises(DeadlinePassedError):
        await parts.service.rank([Wish("up")] * 10, timeout_s)
    assert parts.metric("feed_scorer_dropped_total") == 10
    assert parts.metric("feed_scorer_rank_duration_seconds_count") == 0


async def test_the_rest_of_a_call_is_dropped_once_its_time_has_passed(parts: Parts) -> None:
    """Each look at the clock takes 0.1 s here: with 0.35 s the fourth user comes too late."""
    parts.step_s = 0.1
    ranked = await parts.service.rank([Wish("up")] * 10, 0.35)
    assert [each.dropped for each in ranked.rankings] == [False] * 3 + [True] * 7
    assert parts.metric("feed_scorer_dropped_total") == 7
    assert parts.metric("feed_scorer_ranked_users_total", known="true") == 3


async def test_each_wish_of_a_call_has_its_own_time(parts: Parts) -> None:
    """One that came late must not hold up or outlive the others."""
    parts.step_s = 0.1
    wishes = [Wish("up", timeout_s=0.05), Wish("up"), Wish("up", timeout_s=9.0), Wish("stranger", timeout_s=0.35)]
    ranked = await parts.service.rank(wishes, 5.0)
    assert [each.dropped for each in ranked.rankings] == [True, False, False, True]
    assert parts.metric("feed_scorer_ranked_users_total", known="true") == 2
    assert parts.metric("feed_scorer_ranked_users_total", known="false") == 0


async def test_work_in_time_is_done(parts: Parts) -> None:
    parts.step_s = 0.1
    assert len((await parts.service.rank([Wish("up")] * 3, 1.0)).rankings) == 3


async def test_another_model_is_swapped_in(parts: Parts) -> None:
    parts.source.bundles["m2"] = small_bundle("m2")
    parts.source.live = "m2"
    assert parts.take_offered() == "m2"
    assert (await parts.service.rank([Wish("up")], None)).bundles[0].manifest.model_version == "m2"
    assert parts.take_offered() is None, "the serving one is not loaded again"
    assert parts.metric("feed_scorer_model_swaps_total", result="swapped") == 2
    assert parts.metric("feed_scorer_model_info", model_version="m2", algorithm="lightfm-warp") == 1
    assert parts.metric("feed_scorer_model_info", model_version="m1", algorithm="lightfm-warp") is None


async def test_a_bad_model_is_refused_once_and_the_old_one_stays(parts: Parts) -> None:
    bundle = small_bundle("m2")
    arrays = dataclasses.replace(bundle.arrays, item_prior=np.full(5, -np.inf, np.float32))
    parts.source.bundles["m2"] = ModelBundle(bundle.manifest, arrays)
    parts.source.live = "m2"
    assert [parts.take_offered() for _ in range(3)] == ["m2", None, None]
    assert (await parts.service.rank([Wish("up")], None)).bundles[0].manifest.model_version == "m1"
    assert parts.metric("feed_scorer_model_swaps_total", result="refused") == 1
    parts.source.live = "m1"
    assert parts.take_offered() is None, "a rollback to the serving one needs nothing"


async def test_a_model_that_is_not_there_yet_is_tried_again(parts: Parts) -> None:
    """A shared folder may show the pointer before the model."""
    parts.source.live = "m2"
    assert [parts.take_offered() for _ in range(3)] == ["m2"] * 3
    assert parts.metric("feed_scorer_model_swaps_total", result="refused") == 1, "told once"
    parts.source.bundles["m2"] = small_bundle("m2")
    parts.take_offered()
    assert parts.slot.current is not None
    assert parts.slot.current.version == "m2"


async def test_a_pointer_that_cannot_be_read_changes_nothing(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable() -> str | None:
        raise BundleError(BundleFault.UNREADABLE, "LIVE")

    monkeypatch.setattr(parts.source, "live_version", unreadable)
    assert [parts.take_offered() for _ in range(2)] == [None, None]
    assert parts.slot.current is not None
    assert parts.metric("feed_scorer_model_swaps_total", result="refused") == 1


def popularity(views: Mapping[str, float], counted_until: datetime = TRAINED + timedelta(minutes=5)) -> Popularity:
    counts = np.array([views[video_id] for video_id in sorted(views)], np.float32)
    return Popularity(counted_until, 1, 86_400.0, text_table(list(views)), counts)


def with_prior(version: str, **changes: Any) -> ModelBundle:
    manifest = manifest_of(version, params={"recent_weight": 2.0, "bias_share": 0.5}, **changes)
    return ModelBundle(manifest, small_arrays())


async def first(parts: Parts) -> tuple[str, float]:
    ranking = (await parts.service.rank([Wish("none", k=1)], None)).rankings[0]
    return ranking.video_ids[0], ranking.scores[0]


async def test_what_is_watched_now_is_in_the_next_ranking() -> None:
    parts = Parts(MemoryModels(with_prior("m1")))
    parts.take_offered()
    assert parts.take_counted() is False, "nothing was counted yet"
    assert (await first(parts))[1] == 0
    parts.source.counted = popularity({"v1": 1.0, "v3": 9.0, "unknown": 99.0})
    assert parts.take_counted() is True
    video_id, score = await first(parts)
    assert video_id == "v3"
    assert score == pytest.approx(2 * np.log(10))
    assert parts.take_counted() is False, "that one is known"
    assert parts.metric("feed_scorer_popularity_age_seconds") == pytest.approx(
        (datetime.now(UTC) - TRAINED).total_seconds() - 300, abs=60
    )


async def test_the_next_model_keeps_what_was_counted_unless_it_knows_more() -> None:
    parts = Parts(MemoryModels(with_prior("m1"), with_prior("m2", data_until=TRAINED + timedelta(minutes=10))))
    parts.source.counted = popularity({"v3": 9.0})
    parts.take_counted()
    parts.source.live = "m1"
    parts.take_offered()
    assert (await first(parts))[0] == "v3"
    parts.source.live = "m2"
    parts.take_offered()
    assert (await first(parts))[1] == 0


@pytest.mark.parametrize(
    "bundle",
    [
        pytest.param(small_bundle("m1"), id="does not say how much it counts"),
        pytest.param(with_prior("m1", index=IndexInfo("Flat", 1, 1.0)), id="has an index"),
    ],
)
async def test_a_model_that_cannot_take_it_keeps_its_own_prior(bundle: ModelBundle) -> None:
    parts = Parts(MemoryModels(bundle))
    parts.take_offered()
    parts.source.counted = popularity({"v3": 9.0})
    parts.take_counted()
    assert (await first(parts))[1] == 0


async def test_a_count_that_must_not_be_used_changes_nothing() -> None:
    parts = Parts(MemoryModels(with_prior("m1")))
    parts.take_offered()
    parts.source.counted = popularity({"v3": 9.0})
    parts.take_counted()

    def refuse() -> Popularity:
        raise PopularityError("not signed with our key")

    parts.source.popularity = refuse  # type: ignore[method-assign]
    parts.source.counted = popularity({"v1": 9.0})
    assert parts.take_counted() is False
    assert (await first(parts))[0] == "v3"
