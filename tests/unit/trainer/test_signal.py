"""What an interaction says: weights, long views, negatives."""

import numpy as np
import pytest

from runtime.models.model_bundle import text_table
from trainer.adapters.log_duckdb import DuckDbLog
from trainer.domain.dataset import DatasetRules, build_dataset, positive_pairs
from trainer.domain.log import DAY_S, Recent, split_time_s
from trainer.domain.signal import Kind, SignalRules

NOW_S = 100 * DAY_S
RULES = SignalRules(
    {
        Kind.VIEW: 0.1,
        Kind.CLICK: 0.3,
        Kind.LIKE: 0.7,
        Kind.SHARE: 1.0,
        Kind.SKIP: -0.1,
        Kind.HIDE: -10.0,
        Kind.RATE: 0.7,
    },
    long_view_s=18.0,
    half_life_days=14.0,
)
DATASET_RULES = DatasetRules(RULES, history_length=2, recent_days=4.0, recent_half_life_days=1.0)
EVER = Recent(days=1000.0, half_life_days=1000.0)
DURATIONS = np.array([60.0, 10.0, -1.0], np.float32)


def log_of(*rows: tuple[str, str, Kind, float, float], rating: float = float("nan")) -> DuckDbLog:
    """Rows of (user, video, kind, watched seconds, age in days); videos are a (60 s), b (10 s), c (unknown)."""
    users = text_table([row[0] for row in rows])
    return DuckDbLog(
        users,
        text_table(["a", "b", "c"]),
        np.searchsorted(users, [row[0].encode() for row in rows]).astype(np.int32),
        np.array(["abc".index(row[1]) for row in rows], np.int32),
        np.array([row[2] for row in rows], np.int8),
        np.array([row[3] for row in rows], np.float32),
        np.full(len(rows), rating, np.float32),
        np.array([NOW_S - row[4] * DAY_S for row in rows]),
    )


@pytest.mark.parametrize(
    ("row", "rating", "long_view", "positive", "weight"),
    [
        pytest.param(("u", "a", Kind.VIEW, 60, 0), None, True, True, 0.1, id="whole video"),
        pytest.param(("u", "a", Kind.VIEW, 120, 0), None, True, True, 0.1, id="watched twice counts once"),
        pytest.param(("u", "a", Kind.VIEW, 18, 0), None, True, True, 0.03, id="18 s of 60"),
        pytest.param(("u", "a", Kind.VIEW, 17.9, 0), None, False, False, 0.1 * 17.9 / 60, id="just below 18 s"),
        pytest.param(("u", "b", Kind.VIEW, 10, 0), None, True, True, 0.1, id="a whole short video"),
        pytest.param(("u", "b", Kind.VIEW, 9, 0), None, False, False, 0.09, id="most of a short video"),
        pytest.param(("u", "c", Kind.VIEW, 18, 0), None, True, True, 0.1, id="unknown length, 18 s"),
        pytest.param(("u", "c", Kind.VIEW, 9, 0), None, False, False, 0.05, id="unknown length, 9 s"),
        pytest.param(("u", "a", Kind.VIEW, 0, 0), None, False, False, 0.0, id="shown only"),
        pytest.param(("u", "a", Kind.VIEW, 60, 14), None, True, True, 0.05, id="half after 14 days"),
        pytest.param(("u", "a", Kind.CLICK, 0, 0), None, False, False, 0.3, id="a click alone"),
        pytest.param(("u", "a", Kind.LIKE, 0, 0), None, False, True, 0.7, id="like"),
        pytest.param(("u", "a", Kind.SHARE, 0, 28), None, False, True, 0.25, id="share, 28 days old"),
        pytest.param(("u", "a", Kind.SKIP, 20, 0), None, False, False, -0.1, id="skip"),
        pytest.param(("u", "a", Kind.HIDE, 0, 0), None, False, False, -10.0, id="hide"),
        pytest.param(("u", "a", Kind.RATE, 0, 0), 8.0, False, True, 0.7, id="rated 8"),
        pytest.param(("u", "a", Kind.RATE, 0, 0), 5.0, False, False, 0.0, id="rated 5"),
        pytest.param(("u", "a", Kind.RATE, 0, 0), 2.0, False, False, -0.7, id="rated 2"),
    ],
)
def test_one_interaction(
    row: tuple[str, str, Kind, float, float], rating: float | None, long_view: bool, positive: bool, weight: float
) -> None:
    log = log_of(row, rating=float("nan") if rating is None else rating)
    found = log.pairs(DURATIONS, RULES, NOW_S)
    assert log.recent_views(DURATIONS, RULES, EVER, NOW_S).any() == long_view
    assert np.isfinite(found.liked_s).tolist() == [positive]
    assert found.weight == pytest.approx([weight], rel=1e-5)


def pairs(*rows: tuple[str, str, Kind, float, float]) -> list[tuple[int, int]]:
    found = positive_pairs(log_of(*rows), DURATIONS, RULES, NOW_S)
    return list(zip(found.user.tolist(), found.video.tolist(), strict=True))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param([("u", "a", Kind.VIEW, 60, 0), ("u", "a", Kind.LIKE, 0, 0)], [(0, 0)], id="one pair once"),
        pytest.param([("u", "a", Kind.LIKE, 0, 1), ("u", "a", Kind.HIDE, 0, 0)], [], id="hidden after a like"),
        pytest.param([("u", "a", Kind.CLICK, 0, 0), ("u", "a", Kind.VIEW, 3, 0)], [], id="clicked and left"),
        pytest.param([("u", "b", Kind.LIKE, 0, 0), ("t", "a", Kind.LIKE, 0, 0)], [(0, 0), (1, 1)], id="in order"),
        pytest.param([("u", "a", Kind.SKIP, 1, 0), ("u", "a", Kind.LIKE, 0, 0)], [(0, 0)], id="skipped, then liked"),
    ],
)
def test_pairs(rows: list[tuple[str, str, Kind, float, float]], expected: list[tuple[int, int]]) -> None:
    assert pairs(*rows) == expected


def test_weights_have_mean_one_and_a_like_weighs_more_than_a_view() -> None:
    log = log_of(("u", "a", Kind.VIEW, 60, 0), ("u", "b", Kind.LIKE, 0, 0), ("v", "a", Kind.VIEW, 60, 0))
    weight = positive_pairs(log, DURATIONS, RULES, NOW_S).weight
    assert weight.mean() == pytest.approx(1.0)
    assert weight[1] == pytest.approx(7 * weight[0])


def test_a_dataset_knows_history_newest_first_seen_and_recent_views() -> None:
    log = log_of(
        ("u", "a", Kind.VIEW, 60, 3),
        ("u", "b", Kind.VIEW, 10, 2),
        ("u", "c", Kind.LIKE, 0, 1),
        ("v", "a", Kind.SKIP, 1, 0),
        ("v", "a", Kind.VIEW, 60, 5),
    )
    dataset = build_dataset(log, DURATIONS, DATASET_RULES, NOW_S)
    assert (dataset.users, dataset.videos) == (2, 3)
    assert dataset.history.of(0).tolist() == [2, 1], "the newest two"
    assert dataset.seen.of(0).tolist() == [0, 1, 2]
    assert dataset.seen.of(1).tolist() == [0], "a skipped video was seen too"
    assert dataset.recent_views == pytest.approx([2**-3, 2**-2, 0]), "likes are no views, 5 days are not recent"


def test_an_empty_log_of_positives_makes_an_empty_dataset() -> None:
    dataset = build_dataset(log_of(("u", "a", Kind.SKIP, 1, 0)), DURATIONS, DATASET_RULES, NOW_S)
    assert len(dataset.positives) == 0
    assert dataset.history.lengths().tolist() == [0]
    assert dataset.seen.of(0).tolist() == [0]


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        pytest.param([0, 10], 8.0, id="the last two days"),
        pytest.param([0, 4], 2.0, id="half of a short log"),
        pytest.param([0, 1], 0.8, id="a fifth of a very short log"),
        pytest.param([5], 5.0, id="one instant"),
    ],
)
def test_the_split(days: list[float], expected: float) -> None:
    assert split_time_s(min(days) * DAY_S, max(days) * DAY_S, 2.0) == pytest.approx(expected * DAY_S)
