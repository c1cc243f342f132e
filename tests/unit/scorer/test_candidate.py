"""The model that is tried: whom it serves, what is learned of it, and how it ends."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from runtime.models.candidate_file import Candidate, Mode
from runtime.models.model_bundle import BundleError, BundleFault, ModelBundle
from scorer.domain.trial import is_tried_on
from scorer.domain.wish import Choice, Wish
from scorer.ports import MemoryModels
from tests.model_bundles import TRAINED, arrays_of, manifest_of, small_bundle
from tests.unit.scorer.test_service import Parts, popularity, with_prior

USERS = [f"u{number}" for number in range(40)]


class Trial(Parts):
    """A service whose live model is m1; m2, the same arrays in another bundle, may be tried."""

    def __init__(self, *others: ModelBundle) -> None:
        super().__init__(MemoryModels(small_bundle("m1")))
        for bundle in others or (small_bundle("m2"),):
            self.source.bundles[bundle.manifest.model_version] = bundle
        self.take_offered()

    def follow(self) -> str | None:
        """Follows the trainer; returns the version on trial."""
        candidate = self.candidates.offered()
        if candidate is not None:
            try:
                self.candidates.take(candidate, self.slot.load(candidate.model_version))
            except BundleError as error:
                self.candidates.refuse(candidate.model_version, error)
        return self.candidates.current.model.version if self.candidates.current else None

    def begin(self, mode: Mode, share: float = 1.0, model_version: str = "m2") -> None:
        """Begins a trial."""
        self.source.tried = Candidate(model_version, mode, share)
        assert self.follow() == model_version

    def break_candidate(self) -> None:
        """Gives the candidate buffers that no ranking fits into."""
        current = self.candidates.current
        assert current is not None
        small = np.empty(1, np.float32)
        self.candidates.take(current.candidate, replace(current.model, loop_buffer=small, worker_buffer=small))

    async def versions(self, *user_ids: str) -> list[str]:
        """Ranks for some users; returns which model did."""
        return await self.ranked_by(*map(Wish, user_ids))

    async def ranked_by(self, *wishes: Wish) -> list[str]:
        """Ranks; returns which model did."""
        ranked = await self.service.rank(wishes, None)
        return [bundle.manifest.model_version for bundle in ranked.bundles]

    async def shadowed(self, *wishes: Wish) -> None:
        """Ranks, and waits for what ranks beside it."""
        await self.service.rank(wishes, None)
        if self.shadow._task is not None:
            await self.shadow._task

    def rankings(self, mode: Mode, result: str) -> float | None:
        return self.metric("feed_scorer_candidate_rankings_total", mode=mode.value, result=result)

    def refused(self) -> float | None:
        return self.metric("feed_scorer_candidate_swaps_total", result="refused")


def other_taste(model_version: str = "m2") -> ModelBundle:
    """A model to which `up` likes the first videos, with one that m1 does not know."""
    arrays = arrays_of({"up": (0.0, -1.0, 0.0)}, ["v0", "v1", "v2", "v9"])
    return ModelBundle(manifest_of(model_version), arrays)


async def test_a_canary_serves_its_users_and_the_live_model_the_others() -> None:
    trial = Trial()
    assert set(await trial.versions(*USERS)) == {"m1"}
    trial.begin(Mode.CANARY, 0.3)
    expected = ["m2" if is_tried_on(user_id, "m2", 0.3) else "m1" for user_id in USERS]
    assert set(expected) == {"m1", "m2"}
    assert await trial.versions(*USERS) == expected
    assert [(await trial.versions(user_id))[0] for user_id in USERS] == expected
    assert trial.rankings(Mode.CANARY, "ranked") == 2 * expected.count("m2")
    assert trial.metric("feed_scorer_candidate_share") == 0.3


@pytest.mark.parametrize("mode", list(Mode))
async def test_who_asks_for_a_model_gets_it_however_it_is_tried(mode: Mode) -> None:
    trial = Trial()
    trial.begin(mode)
    wishes = [Wish("u1", choice=choice) for choice in (Choice.LIVE, Choice.CANDIDATE)]
    assert await trial.ranked_by(*wishes) == ["m1", "m2"]
    trial.source.tried = None
    trial.follow()
    assert await trial.ranked_by(*wishes) == ["m1", "m1"]


async def test_what_a_canary_ranked_it_explains() -> None:
    trial = Trial(other_taste())
    trial.begin(Mode.CANARY)
    ranking = (await trial.service.rank([Wish("up")], None)).rankings[0]
    assert ranking.video_ids == ["v0", "v1", "v2", "v9"]
    told = await trial.service.explain(Wish("up"), ["v9"])
    assert told.bundle.manifest.model_version == "m2"
    assert told.explained.explanations[0].score == ranking.scores[3]
    trial.service.close()


async def test_where_the_candidate_fails_the_live_model_serves() -> None:
    trial = Trial()
    trial.begin(Mode.CANARY)
    trial.break_candidate()
    ranked = await trial.service.rank([Wish("up"), Wish("down")], None)
    assert [each.video_ids[0] for each in ranked.rankings] == ["v3", "v0"]
    assert {bundle.manifest.model_version for bundle in ranked.bundles} == {"m1"}
    assert trial.rankings(Mode.CANARY, "failed") == 2
    assert trial.rankings(Mode.CANARY, "ranked") == 0


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("later_h", [-5, 5])
async def test_callers_tell_what_the_older_of_the_two_models_does_not_know(mode: Mode, later_h: int) -> None:
    """Whoever of them ranks next: a caller knows only one time for all of its users."""
    manifest = manifest_of("m2", data_until=TRAINED + timedelta(hours=later_h))
    trial = Trial(ModelBundle(manifest, small_bundle().arrays))
    trial.begin(mode, 0.5)
    for user_id in USERS[:10]:
        ranked = await trial.service.rank([Wish(user_id)], None)
        assert ranked.data_until == min(TRAINED, manifest.data_until)
    await trial.shadow.stop()


async def test_a_shadow_of_an_equal_model_agrees_and_nobody_sees_it() -> None:
    trial = Trial()
    trial.begin(Mode.SHADOW)
    assert await trial.versions("up") == ["m1"]
    await trial.shadow.stop()
    for depth in ("10", "50"):
        assert trial.metric("feed_scorer_shadow_overlap_ratio_sum", depth=depth) == 1.0
        assert trial.metric("feed_scorer_shadow_overlap_ratio_count", depth=depth) == 1
    assert trial.metric("feed_scorer_shadow_duration_seconds_count") == 1
    assert trial.metric("feed_scorer_ranked_users_total", known="true") == 1


async def test_a_shadow_that_ranks_otherwise_agrees_less() -> None:
    trial = Trial(other_taste())
    trial.begin(Mode.SHADOW)
    await trial.shadowed(Wish("up"))
    assert trial.metric("feed_scorer_shadow_overlap_ratio_sum", depth="10") == 0.75, "v0, v1, v2 of four each"


async def test_two_models_that_know_nothing_of_a_user_are_not_said_to_agree() -> None:
    trial = Trial()
    trial.begin(Mode.SHADOW)
    await trial.shadowed(Wish("stranger"))
    assert trial.rankings(Mode.SHADOW, "ranked") == 1
    assert trial.metric("feed_scorer_shadow_overlap_ratio_count", depth="10") == 0


async def test_only_users_of_the_trial_are_shadowed() -> None:
    trial = Trial()
    trial.begin(Mode.SHADOW, 0.3)
    for user_id in USERS:
        await trial.shadowed(Wish(user_id))
    assert trial.rankings(Mode.SHADOW, "ranked") == sum(is_tried_on(user_id, "m2", 0.3) for user_id in USERS)


async def test_shadows_take_one_ranking_at_a_time_and_a_tenth_of_the_time() -> None:
    """Each look at the clock takes 0.1 s here: a shadow of three looks, 0.3 s, is followed by 2.7 s without one."""
    trial = Trial()
    trial.begin(Mode.SHADOW)
    trial.step_s = 0.1
    await trial.shadowed(Wish("up"), Wish("up"))
    assert (trial.rankings(Mode.SHADOW, "ranked"), trial.rankings(Mode.SHADOW, "dropped")) == (1, 1)
    trial.step_s = 0.0
    for now_s, ranked in ((2.6, 1), (2.8, 2)):
        began = trial.now_s
        trial.now_s = began + now_s
        await trial.shadowed(Wish("up"))
        assert trial.rankings(Mode.SHADOW, "ranked") == ranked
        trial.now_s = began


async def test_a_shadow_that_fails_is_counted_and_costs_nobody_anything() -> None:
    trial = Trial()
    trial.begin(Mode.SHADOW)
    current = trial.candidates.current
    assert current is not None
    broken = replace(current.model.ranker.bundle.arrays, item_factors=np.zeros((2, 2), np.float32))
    ranker = type(current.model.ranker)(replace(current.model.ranker.bundle, arrays=broken))
    trial.candidates.take(current.candidate, replace(current.model, ranker=ranker))
    await trial.shadowed(Wish("up"))
    assert (trial.rankings(Mode.SHADOW, "failed"), trial.rankings(Mode.SHADOW, "ranked")) == (1, 0)
    assert trial.metric("feed_scorer_ranked_users_total", known="true") == 1


async def test_a_dropped_wish_is_not_shadowed() -> None:
    trial = Trial()
    trial.begin(Mode.SHADOW)
    trial.step_s = 0.1
    await trial.shadowed(Wish("up", timeout_s=0.05), Wish("up", timeout_s=9.0))
    assert trial.rankings(Mode.SHADOW, "ranked") == 1
    assert trial.rankings(Mode.SHADOW, "dropped") == 0


async def test_a_bad_candidate_is_refused_once_and_the_live_model_serves() -> None:
    bundle = small_bundle("m2")
    bad = replace(bundle.arrays, item_prior=np.full(5, -np.inf, np.float32))
    trial = Trial(ModelBundle(bundle.manifest, bad))
    trial.source.tried = Candidate("m2", Mode.CANARY, 1.0)
    assert [trial.follow() for _ in range(3)] == [None] * 3
    assert trial.refused() == 1
    assert set(await trial.versions(*USERS)) == {"m1"}
    assert trial.metric("feed_scorer_model_swaps_total", result="refused") == 0


def test_a_candidate_that_is_not_there_yet_is_tried_again() -> None:
    trial = Trial()
    trial.source.tried = Candidate("m3", Mode.CANARY, 1.0)
    assert [trial.follow() for _ in range(2)] == [None] * 2
    trial.source.bundles["m3"] = small_bundle("m3")
    assert trial.follow() == "m3"
    assert trial.refused() == 1, "told once"


def test_a_bad_one_in_the_place_of_a_good_one_ends_its_trial() -> None:
    trial = Trial()
    trial.begin(Mode.CANARY)
    trial.source.tried = Candidate("nothing", Mode.CANARY, 1.0)
    assert trial.follow() is None


def test_a_file_that_cannot_be_read_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = Trial()
    trial.begin(Mode.CANARY)

    def unreadable() -> Candidate | None:
        raise BundleError(BundleFault.UNREADABLE, "CANDIDATE")

    monkeypatch.setattr(trial.source, "candidate", unreadable)
    assert [trial.follow() for _ in range(2)] == ["m2"] * 2
    assert trial.refused() == 1


async def test_a_withdrawn_candidate_serves_nobody() -> None:
    trial = Trial()
    trial.begin(Mode.CANARY)
    trial.source.tried = None
    assert trial.follow() is None
    assert set(await trial.versions(*USERS)) == {"m1"}
    assert trial.metric("feed_scorer_candidate_share") == 0
    info = {"model_version": "m2", "algorithm": "lightfm-warp"}
    assert trial.metric("feed_scorer_candidate_info", mode="canary", **info) is None


def test_from_shadow_to_canary_the_model_stays_in_memory() -> None:
    trial = Trial()
    trial.begin(Mode.SHADOW, 0.1)
    assert trial.candidates.current is not None
    model = trial.candidates.current.model
    del trial.source.bundles["m2"]
    trial.begin(Mode.CANARY, 0.2)
    assert trial.candidates.current.model is model
    assert trial.candidates.current.candidate == Candidate("m2", Mode.CANARY, 0.2)


def test_promoted_it_serves_as_it_is_and_its_trial_ends() -> None:
    """It is in memory and was verified: nothing is read again, though the trainer has not taken the file away yet."""
    trial = Trial()
    trial.begin(Mode.CANARY)
    tried = trial.candidates.current
    assert tried is not None
    assert trial.candidates.promoted("m1") is None
    promoted = trial.candidates.promoted("m2")
    assert promoted is not None
    assert promoted.ranker is tried.model.ranker
    assert promoted.loaded_time > tried.model.loaded_time
    trial.slot.swap(promoted)
    assert trial.follow() is None


async def test_what_is_watched_now_is_in_the_candidates_rankings_too() -> None:
    trial = Trial(with_prior("m2"))
    trial.begin(Mode.CANARY)
    trial.source.counted = popularity({"v3": 9.0})
    trial.take_counted()
    tried = trial.candidates.current
    assert tried is not None
    trial.candidates.freshen(trial.slot.with_fresh_prior(tried.model))
    ranking = (await trial.service.rank([Wish("none", k=1)], None)).rankings[0]
    assert ranking.video_ids == ["v3"]
    assert ranking.scores[0] == pytest.approx(2 * np.log(10))
