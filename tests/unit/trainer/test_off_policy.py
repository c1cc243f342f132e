"""What a model's choices would have come to, from lots alone: held against a truth that is known (issue 8, item 5)."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from trainer.domain.dataset import Lists
from trainer.domain.off_policy import CHOICES, MOST_WEIGHT, Estimate, Logged, Support, chances, judge
from trainer.domain.ranking import Scores

VIDEOS, TASTES = 40, 3
SEEDS = 100


@dataclass(frozen=True)
class World:
    """Users, how the candidate scores the new videos, how likely each is accepted, and a log of lots among all."""

    scores: Scores
    likely: np.ndarray
    logged: Logged


def nothing_seen(users: int) -> Lists:
    return Lists(np.zeros(users + 1, np.int64), np.empty(0, np.int32))


def world(seed: int, users: int = 600) -> World:
    """A candidate that knows something of tastes; users scroll for very different times."""
    lot = np.random.default_rng(seed)
    videos = np.random.default_rng(0).normal(0, 1, (VIDEOS, TASTES))
    tastes = lot.normal(0, 1, (users, TASTES))
    likely = 1 / (1 + np.exp(2.0 - tastes @ videos.T))
    user = np.repeat(np.arange(users), lot.geometric(0.15, users))
    video = lot.integers(0, VIDEOS, len(user))
    accepted = (lot.random(len(user)) < likely[user, video]).astype(float)
    blurred = (tastes + lot.normal(0, 1, tastes.shape)).astype(np.float32)
    scores = Scores(blurred, videos.astype(np.float32), np.zeros(VIDEOS, np.float32))
    return World(scores, likely, Logged(user, video, np.full(len(user), 1 / VIDEOS), accepted))


def truth_of(made: World) -> float:
    """How likely what the candidate chooses is accepted, without a log."""
    scores = made.scores.user_factors @ made.scores.item_factors.T
    best = np.argsort(-scores, axis=1)[:, :CHOICES]
    return float(np.take_along_axis(made.likely, best, axis=1).mean())


def judged(made: World) -> tuple[Support, Estimate | None]:
    chance = chances(made.scores, nothing_seen(len(made.scores.user_factors)), made.logged)
    return judge(made.logged, chance, seed=1)


def test_the_intervals_hold_the_truth_and_the_estimates_are_right_on_average() -> None:
    """IPS has no bias; SNIPS next to none, and strays less."""
    off: dict[str, list[float]] = {"ips": [], "snips": []}
    held = dict.fromkeys(off, 0)
    truth = truth_of(world(SEEDS, users=200_000))
    for seed in range(SEEDS):
        made = world(seed)
        _, found = judged(made)
        assert found is not None
        for name, interval in (("ips", found.ips), ("snips", found.snips)):
            off[name].append(interval.mean - truth)
            held[name] += interval.low <= truth <= interval.high
        assert found.served.mean == pytest.approx(made.logged.accepted.mean())
    assert min(held.values()) >= 0.9 * SEEDS
    for name, each in off.items():
        assert abs(np.mean(each)) < 3 * np.std(each) / SEEDS**0.5, name
    assert np.var(off["snips"]) < np.var(off["ips"])


def test_a_candidate_that_chooses_better_leads_and_one_that_chooses_by_chance_does_not() -> None:
    made = world(1)
    _, found = judged(made)
    assert found is not None
    assert found.lead.is_above_zero
    lot = np.random.default_rng(7)
    blind = replace(made.scores, user_factors=lot.normal(0, 1, made.scores.user_factors.shape).astype(np.float32))
    _, found = judged(replace(made, scores=blind))
    assert found is not None
    assert not found.lead.is_above_zero
    assert not found.lead.is_below_zero


def test_what_no_lot_could_fall_on_is_refused() -> None:
    """The lots are drawn among one half of the videos for each user, and the candidate chooses from the other."""
    made = world(1, users=1_200)
    user, half = made.logged.user, VIDEOS // 2
    video = (user % 2) * half + made.logged.video % half
    logged = replace(made.logged, video=video, propensity=np.full(len(user), 1 / half))
    item = np.repeat([-1.0, 1.0], half)[:, None].astype(np.float32)
    side = np.where(np.arange(len(made.likely)) % 2, -1.0, 1.0)[:, None].astype(np.float32)
    # Three users in ten choose from the half that their lots are drawn among, or no user does.
    support, found = judged(World(Scores(side, item, np.zeros(VIDEOS, np.float32)), made.likely, logged))
    assert (support.worth_users, found) == (0.0, None)
    some = np.where(np.arange(len(side))[:, None] % 10 < 3, -side, side)
    support, found = judged(World(Scores(some, item, np.zeros(VIDEOS, np.float32)), made.likely, logged))
    assert found is None
    assert support.refusal is not None
    assert support.refusal.startswith(f"no lot could have fallen on {support.outside:.0%} of its choices")
    assert support.outside == pytest.approx(0.7, abs=0.1)


def test_too_few_users_are_refused() -> None:
    support, found = judged(world(1, users=120))
    assert found is None
    assert support.refusal is not None
    assert support.refusal.startswith(f"the lots that fell on its choices are worth {support.worth_users:.0f} users")


def test_propensities_that_cannot_be_true_are_refused() -> None:
    made = world(1)
    support, found = judged(replace(made, logged=replace(made.logged, propensity=made.logged.propensity / 2)))
    assert found is None
    assert support.refusal is not None
    assert support.refusal.startswith(f"lots fell on its choices {support.weight.mean:.2f} times as often")
    assert support.weight.mean == pytest.approx(2, abs=0.2)


def test_a_weight_counts_for_so_much_at_most() -> None:
    made = world(1)
    propensity = made.logged.propensity.copy()
    chosen = np.flatnonzero(chances(made.scores, nothing_seen(len(made.likely)), made.logged))
    propensity[chosen[0]] = 1e-9
    support, found = judged(replace(made, logged=replace(made.logged, propensity=propensity)))
    before, unchanged = judged(made)
    assert support.cut == 1
    assert found is not None
    assert unchanged is not None
    ordinary = VIDEOS / CHOICES
    places = len(made.logged.user)
    assert support.weight.mean - before.weight.mean == pytest.approx((MOST_WEIGHT - ordinary) / places)


def test_choices_are_the_best_of_what_the_user_has_not_seen() -> None:
    """Twelve videos of falling score; the second user has seen the first two. Of few videos all are chosen."""
    scores = Scores(np.ones((2, 1), np.float32), -np.arange(12, dtype=np.float32)[:, None], np.zeros(12, np.float32))
    seen = Lists(np.array([0, 0, 2]), np.array([0, 1], np.int32))
    user, video = np.repeat([0, 1], 12), np.tile(np.arange(12), 2)
    found = chances(scores, seen, Logged(user, video, np.ones(24), np.zeros(24))).reshape(2, 12)
    assert found.tolist() == [[0.1] * 10 + [0.0] * 2, [0.0] * 2 + [0.1] * 10]
    few = Scores(scores.user_factors, scores.item_factors[:4], scores.prior[:4])
    short = chances(few, seen, Logged(np.array([0, 1, 1]), np.array([0, 1, 2]), np.ones(3), np.zeros(3)))
    assert short.tolist() == [0.25, 0.0, 0.5]
