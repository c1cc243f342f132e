"""What the best videos go through before they are served."""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.models.model_bundle import ModelBundle
from scorer.domain.diversity import hold_back, part_runs
from scorer.domain.exploration import DRAWN_AMONG, NEW_BELOW_USERS, best_newcomers, explore, lots_wanted, newcomers_of
from scorer.domain.ranker import Ranker
from scorer.domain.shortlist import Likeness, Shortlist, StageInput, draw, likeness_of, spread_of
from scorer.domain.shuffle import shuffle
from scorer.domain.stages import ORDER, never_rise, staged
from scorer.domain.wish import Stages, Wish
from tests.model_bundles import arrays_of, manifest_of, small_arrays

SIZE = 100
VALUES = np.linspace(5, 1, SIZE).astype(np.float32)
BEST = Shortlist(np.arange(SIZE), VALUES)
NEWCOMERS = Shortlist(np.arange(SIZE, SIZE + 30), np.linspace(0.5, 0, 30).astype(np.float32))


def stage_input(
    stages: Stages,
    *,
    seed: int = 7,
    size: int = SIZE,
    authors: Sequence[int] = (),
    tags: Sequence[int] = (),
    newcomers: Shortlist | None = NEWCOMERS,
) -> StageInput:
    """Videos have nothing in common unless told; a spread of 1."""
    nothing = -1 - np.arange(size + 30, dtype=np.int32)
    kinds = [
        np.where(np.arange(len(nothing)) < len(each), np.resize([*each, 0], len(nothing)), nothing)
        for each in (authors, tags)
    ]
    likeness = Likeness(*(each.astype(np.int32) for each in kinds))
    lots = draw(seed, size + lots_wanted(size, stages.exploration)) if seed else None
    return StageInput(stages, lots, 1.0, likeness, newcomers)


def of_values(values: Sequence[float]) -> Shortlist:
    return Shortlist(np.arange(len(values)), np.array(values, np.float32))


ALL_ON = Stages(shuffle=0.3, diversity=0.3, max_run=2, exploration=0.1)


@pytest.mark.parametrize("stage", ORDER, ids=lambda stage: stage.__name__)
def test_a_stage_that_is_off_changes_nothing(stage: object) -> None:
    off = stage(BEST, stage_input(Stages(), newcomers=None))  # type: ignore[operator]
    assert off.rows.tolist() == BEST.rows.tolist()
    assert off.values.tolist() == BEST.values.tolist()


@pytest.mark.parametrize("stages", [Stages(shuffle=0.5), Stages(exploration=0.5)])
def test_without_a_seed_no_lots_are_drawn(stages: Stages) -> None:
    assert staged(BEST, stage_input(stages, seed=0)).rows.tolist() == BEST.rows.tolist()


def mixed(number: int) -> int:
    """SplitMix64's mixing in whole numbers."""
    number = (number ^ (number >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    number = (number ^ (number >> 27)) * 0x94D049BB133111EB % 2**64
    return number ^ (number >> 31)


def test_the_lots_are_those_of_splitmix() -> None:
    """The first number of the seed 1234567 is known from the generator's published test values."""
    step = 0x9E3779B97F4A7C15
    assert mixed(1234567 + step) == 6457827717110365317
    raw = [mixed((99 + step * place) % 2**64) for place in range(1, 6)]
    assert draw(99, 5).tolist() == [((each >> 11) + 0.5) / 2**53 for each in raw]
    assert draw(99, 300)[:5].tolist() == draw(99, 5).tolist()


@settings(max_examples=60)
@given(seed=st.integers(1, 2**64 - 1))
def test_lots_lie_between_0_and_1(seed: int) -> None:
    lots = draw(seed, 500)
    assert lots.min() > 0
    assert lots.max() < 1
    assert len(set(lots.tolist())) == 500
    assert 0.4 < lots.mean() < 0.6


def test_a_session_has_its_own_order_and_keeps_it() -> None:
    given = [shuffle(BEST, stage_input(Stages(shuffle=0.2), seed=seed)) for seed in (1, 1, 2)]
    assert given[0].rows.tolist() == given[1].rows.tolist()
    assert given[0].rows.tolist() != given[2].rows.tolist()
    assert sorted(given[0].rows.tolist()) == BEST.rows.tolist()


def test_a_stronger_shuffle_moves_more_and_what_is_much_better_stays_ahead() -> None:
    def moved(strength: float) -> float:
        rows = [shuffle(BEST, stage_input(Stages(shuffle=strength), seed=seed)).rows for seed in range(1, 30)]
        return float(np.abs(np.array(rows) - np.arange(SIZE)).mean())

    assert 0 < moved(0.05) < moved(0.2) < moved(1.0) < SIZE / 3
    far = Shortlist(np.arange(4), np.array([50, 10, 9.99, 9.98], np.float32))
    firsts = {shuffle(far, stage_input(Stages(shuffle=1.0), seed=seed, size=4)).rows[0] for seed in range(1, 200)}
    assert firsts == {0}


def test_the_first_place_goes_by_a_softmax_of_the_scores() -> None:
    """Gumbel noise (Yellott 1977): 2 of 3 videos have e times the chance of the third at a difference of 1."""
    best = of_values([1, 1, 0])
    firsts = Counter(
        int(shuffle(best, stage_input(Stages(shuffle=1.0), seed=seed, size=3)).rows[0]) for seed in range(1, 2001)
    )
    assert firsts[2] / 2000 == pytest.approx(1 / (1 + 2 * np.e), abs=0.03)


def greedy(values: Sequence[float], authors: Sequence[int], strength: float) -> list[int]:
    """The rule itself: the best of what is left, after a penalty for each one of its author already placed."""
    left, order = list(range(len(values))), list[int]()
    while left:
        placed = Counter(authors[row] for row in order)
        best = max(
            left,
            key=lambda row: (np.float32(values[row]) - np.float32(strength) * np.float32(placed[authors[row]]), -row),
        )
        order.append(best)
        left.remove(best)
    return order


@settings(max_examples=60)
@given(
    authors=st.lists(st.integers(0, 4), min_size=1, max_size=20),
    strength=st.sampled_from([0.05, 0.25, 0.5, 1.0]),
)
def test_authors_are_held_back_as_a_greedy_choice_would(authors: list[int], strength: float) -> None:
    values = [10 - 0.375 * place for place in range(len(authors))]
    held = hold_back(of_values(values), stage_input(Stages(diversity=strength), size=len(authors), authors=authors))
    assert held.rows.tolist() == greedy(values, authors, strength)


def test_leading_tags_are_held_back_too_and_unknown_ones_are_not_alike() -> None:
    given = stage_input(Stages(diversity=0.5), size=4, tags=[7, 7, 7])
    held = hold_back(of_values([4, 3.9, 3.8, 3.7]), given)
    assert held.rows.tolist() == [0, 3, 1, 2]
    assert held.values.tolist() == pytest.approx([4, 3.7, 3.4, 2.8])


def longest(codes: Sequence[int]) -> int:
    return max((len(list(run)) for code, run in groupby(codes) if code >= 0), default=0)


@settings(max_examples=60)
@given(
    kinds=st.lists(st.tuples(st.integers(-1, 3), st.integers(-1, 3)), min_size=1, max_size=40),
    most=st.integers(1, 4),
)
def test_no_run_is_too_long_as_long_as_something_else_is_left(kinds: list[tuple[int, int]], most: int) -> None:
    unknown = -2 - np.arange(len(kinds))
    authors, tags = (np.where(np.array(each) < 0, unknown, each).tolist() for each in zip(*kinds, strict=True))
    values = np.linspace(9, 1, len(kinds)).tolist()
    found = part_runs(of_values(values), stage_input(Stages(max_run=most), size=len(kinds), authors=authors, tags=tags))
    assert found.rows.tolist() == parted(authors, tags, most)
    assert sorted(found.rows.tolist()) == list(range(len(kinds)))


def parted(authors: Sequence[int], tags: Sequence[int], most: int) -> list[int]:
    """The rule itself: the best one that may come next comes next."""
    left, order = list(range(len(authors))), list[int]()
    while left:
        fits = [
            row
            for row in left
            if all(longest([each[r] for r in [*order[-most:], row]]) <= most for each in (authors, tags))
        ]
        if not fits:
            return order + left
        order.append(fits[0])
        left.remove(fits[0])
    return order


def test_new_videos_get_their_share_of_each_stretch_and_nothing_else_moves() -> None:
    given = stage_input(Stages(exploration=0.1))
    found = explore(BEST, given)
    assert len(found.rows) == SIZE
    assert [place // 10 for place in found.explored] == list(range(10))
    assert all(found.rows[place] >= SIZE for place in found.explored)
    assert len(set(found.rows.tolist())) == SIZE
    rest = [row for row in found.rows.tolist() if row < SIZE]
    assert rest == list(range(90)), "the last ones made room"
    assert found.propensities == (1 / 30,) * 10
    assert (np.diff(found.values) <= 0).all()


def test_each_new_video_has_the_chance_that_is_told() -> None:
    won = Counter[int]()
    for seed in range(1, 1501):
        won.update(
            row for row in explore(BEST, stage_input(Stages(exploration=0.1), seed=seed)).rows.tolist() if row >= SIZE
        )
    assert len(won) == 30
    assert all(each / 15_000 == pytest.approx(1 / 30, rel=0.2) for each in won.values())


def test_a_share_of_less_than_a_place_falls_to_some_sessions() -> None:
    best = of_values([3, 2, 1, 0])
    got = sum(
        len(explore(best, stage_input(Stages(exploration=0.1), seed=seed, size=4)).explored) for seed in range(1, 501)
    )
    assert got / 500 == pytest.approx(0.4, abs=0.08)


def test_fewer_new_videos_than_places_are_all_shown_once() -> None:
    newcomers = Shortlist(np.array([SIZE, SIZE + 1]), np.zeros(2, np.float32))
    found = explore(BEST, stage_input(Stages(exploration=0.5), newcomers=newcomers))
    assert sorted(found.rows[list(found.explored)].tolist()) == [SIZE, SIZE + 1]


def test_the_best_new_videos_that_may_appear_are_drawn_among() -> None:
    scores = np.arange(200, dtype=np.float32)
    scores[-10:] = -np.inf
    found = best_newcomers(np.arange(200) + 1000, scores)
    assert sorted(found.rows.tolist()) == list(range(1190 - DRAWN_AMONG, 1190))
    assert best_newcomers(np.arange(3), np.full(3, -np.inf, np.float32)).rows.tolist() == []


def test_new_is_what_few_users_have_met() -> None:
    users = {f"u{number:02}": (0.0, 0.0, 0.0) for number in range(NEW_BELOW_USERS)}
    seen = {user: ["met"] for user in users} | {"u00": ["met", "once"]}
    catalogue: dict[str, dict[str, Any]] = {
        "gone": {"active": False},
        "once": {"published_ms": 5},
        "late": {"published_ms": 9},
    }
    arrays = arrays_of(users, ["met", "once", "never", "gone", "late"], seen=seen, catalogue=catalogue)
    names = [arrays.video_ids[row].decode() for row in newcomers_of(arrays).tolist()]
    assert names == ["late", "once", "never"], "the last published first"


def test_an_explored_video_keeps_its_mark_when_runs_are_parted() -> None:
    best = Shortlist(np.arange(5), np.array([5, 4, 3, 2, 1], np.float32), (1,), (0.5,))
    found = part_runs(best, stage_input(Stages(max_run=1), size=5, tags=[3, 3, 4, 5, 6]))
    assert found.rows.tolist() == [0, 2, 1, 3, 4]
    assert (found.explored, found.propensities) == ((2,), (0.5,))


def test_served_values_never_rise() -> None:
    found = never_rise(of_values([5, 3, 4, 4, 1, 2]), stage_input(Stages()))
    assert found.values.tolist() == [5, 3, 3, 3, 1, 1]


@settings(max_examples=60)
@given(seed=st.integers(1, 10_000), stages=st.sampled_from([ALL_ON, msgspec.structs.replace(ALL_ON, max_run=1)]))
def test_all_stages_together_give_a_ranking(seed: int, stages: Stages) -> None:
    codes = np.random.default_rng(3).integers(0, 9, (2, SIZE + 30)).tolist()
    given = stage_input(stages, seed=seed, authors=codes[0], tags=codes[1])
    found = staged(BEST, given)
    assert len(set(found.rows.tolist())) == SIZE
    assert (np.diff(found.values) <= 0).all()
    assert {row for row in found.rows.tolist() if row >= SIZE} == {int(found.rows[place]) for place in found.explored}


def test_the_spread_is_the_standard_deviation() -> None:
    values = np.random.default_rng(1).normal(300, 2, 200).astype(np.float32)
    assert spread_of(values) == pytest.approx(float(values.std()), rel=1e-3)
    assert spread_of(values[:1]) == 0


def test_videos_are_alike_by_author_and_first_tag() -> None:
    catalogue: dict[str, dict[str, Any]] = {
        "a": {"author": "x", "tags": ["fun", "cats"]},
        "b": {"author": "x", "tags": ["cats"]},
        "c": {},
    }
    likeness = likeness_of(arrays_of({"u": (0.0, 0.0, 0.0)}, ["a", "b", "c", "d"], catalogue=catalogue))
    assert likeness.author.tolist() == [0, 0, -3, -4]
    assert likeness.leading_tag.tolist() == [1, 0, -3, -4]


def test_new_videos_that_may_not_appear_get_no_place() -> None:
    """Seen, excluded, filtered and blocked hold for kept places too; nobody has met v0 to v3 in this model."""
    ranker = Ranker(ModelBundle(manifest_of(), small_arrays()))
    for seed in range(1, 50):
        wish = Wish("up", k=2, exclude_video_ids=["v2"], seed=seed, stages=Stages(exploration=0.5))
        found = ranker.rank(wish, ranker.buffer()).video_ids
        assert set(found) <= {"v3", "v1", "v0"}
        assert len(set(found)) == 2, "nor twice"
