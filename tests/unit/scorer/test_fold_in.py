"""What a user did since the training changes the next page; issue 6: a like moves it, no fit needed."""

import numpy as np
import pytest

from runtime.models.model_bundle import UNKNOWN_CODE, ModelArrays, ModelBundle
from scorer.domain.fold_in import Did, FoldRules, Recent, fold_in, rules_of
from scorer.domain.ranker import Ranker
from scorer.domain.wish import UNKNOWN_USER, Wish
from tests.model_bundles import arrays_of, manifest_of

VIDEOS = ["v0", "v1", "v2", "v3", "v4"]
RULES = FoldRules(long_view_s=18.0, history_length=3)
# Their own embeddings; what their histories say of them is in `user_factors` already, as training leaves it.
ANN, NEW = 0, UNKNOWN_CODE


def arrays(**more: object) -> ModelArrays:
    """Ann liked v1 and then v3; a liked video i says (i, 1) of its user."""
    own, described = np.array([10.0, 20.0]), (np.array([3.0, 1.0]) + np.array([1.0, 1.0])) / np.sqrt(2)
    return arrays_of({"ann": (0.5, *(own + described))}, VIDEOS, history={"ann": ["v3", "v1"]}, **more)  # type: ignore[arg-type]


def did(video_id: str, what: Did = Did.LIKED, *, watch_time_s: float = 0.0, time_ms: int = 0) -> Recent:
    return Recent(video_id, what, watch_time_s, time_ms)


def described_by(user: int, *recent: Recent, **more: object) -> list[float] | None:
    row = fold_in(arrays(**more), RULES, user, recent)
    return None if row is None else pytest.approx(row.tolist(), abs=1e-5)  # type: ignore[return-value]


def expected(*numbers: int, own: tuple[float, float, float] = (0.5, 10.0, 20.0)) -> list[float]:
    bias, first, second = own
    share = 1 / np.sqrt(max(len(numbers), 1))
    return [1.0, bias, first + share * sum(numbers), second + share * len(numbers)]


def test_nothing_new_changes_nothing() -> None:
    assert described_by(ANN) == arrays().user_factors[ANN].tolist()
    assert described_by(ANN, did("v2", Did.NOTHING)) == arrays().user_factors[ANN].tolist()


def test_a_like_joins_the_history() -> None:
    assert described_by(ANN, did("v4")) == expected(4, 3, 1)


def test_the_oldest_like_makes_room() -> None:
    assert described_by(ANN, did("v4", time_ms=1), did("v2", time_ms=2)) == expected(2, 4, 3)


def test_a_like_again_counts_once() -> None:
    assert described_by(ANN, did("v1"), did("v1", time_ms=5)) == expected(1, 3)


def test_what_is_disliked_now_leaves_the_history() -> None:
    assert described_by(ANN, did("v3", Did.DISLIKED)) == expected(1)


@pytest.mark.parametrize(
    ("first", "then", "numbers"),
    [
        pytest.param(Did.LIKED, Did.DISLIKED, (3, 1), id="disliked at last"),
        pytest.param(Did.DISLIKED, Did.LIKED, (4, 3, 1), id="liked at last"),
    ],
)
def test_the_later_word_counts(first: Did, then: Did, numbers: tuple[int, ...]) -> None:
    assert described_by(ANN, did("v4", then, time_ms=9), did("v4", first, time_ms=3)) == expected(*numbers)


@pytest.mark.parametrize(
    ("watch_time_s", "duration_s", "counts"),
    [
        pytest.param(18.0, 60.0, True, id="long enough"),
        pytest.param(17.9, 60.0, False, id="too short"),
        pytest.param(6.0, 6.0, True, id="the whole of a short one"),
        pytest.param(18.0, -1.0, True, id="of unknown length, long enough"),
        pytest.param(5.0, -1.0, False, id="of unknown length"),
    ],
)
def test_a_view_counts_when_it_is_long(watch_time_s: float, duration_s: float, counts: bool) -> None:
    seen = did("v4", Did.WATCHED, watch_time_s=watch_time_s)
    catalogue = {"v4": {"duration_s": duration_s}}
    assert described_by(ANN, seen, catalogue=catalogue) == expected(*((4, 3, 1) if counts else (3, 1)))


def test_a_stranger_is_described_by_likes_alone() -> None:
    assert described_by(NEW, did("v4"), did("v2", time_ms=-1)) == expected(4, 2, own=(0.0, 0.0, 0.0))


@pytest.mark.parametrize(
    "recent",
    [
        pytest.param([], id="did nothing"),
        pytest.param([did("v4", Did.DISLIKED)], id="disliked"),
        pytest.param([did("v9")], id="liked what the model does not know"),
    ],
)
def test_a_stranger_of_whom_nothing_is_known_stays_one(recent: list[Recent]) -> None:
    assert fold_in(arrays(), RULES, NEW, recent) is None


def test_a_model_without_histories_folds_nothing_in() -> None:
    rules = rules_of({"epochs": 5})
    assert fold_in(arrays(), rules, NEW, [did("v4")]) is None
    row = fold_in(arrays(), rules, ANN, [did("v4")])
    assert row is not None
    assert row.tolist() == arrays().user_factors[ANN].tolist()


def test_a_like_changes_the_page() -> None:
    """Video i has the embedding (i, 1): who likes the last ones gets the last ones."""
    ranker = Ranker(ModelBundle(manifest_of(), arrays_of({"down": (0.0, -1.0, 0.0)}, VIDEOS)))
    before = ranker.rank(Wish("down", k=2), ranker.buffer())
    after = ranker.rank(Wish("down", k=2, exclude_video_ids=["v4"], recent=[did("v4")]), ranker.buffer())
    stranger = ranker.rank(Wish("new", k=2, exclude_video_ids=["v4"], recent=[did("v4")]), ranker.buffer())

    assert (before.video_ids, after.video_ids) == (["v0", "v1"], ["v3", "v2"])
    assert (stranger.video_ids, stranger.known) == (["v3", "v2"], False)
    assert ranker.rank(Wish("new", recent=[did("v4", Did.NOTHING)]), ranker.buffer()) == UNKNOWN_USER


FEATURES = {"age=old": (0.5, 4.0, 8.0), "age=young": (0.0, 1.0, 0.0), "device=tv": (1.5, 0.0, 2.0)}


@pytest.mark.parametrize(
    ("recent", "features", "expected"),
    [
        pytest.param([], ["age=old"], [1, 0.5, 4, 8], id="one feature"),
        pytest.param([], ["age=old", "device=tv"], [1, 2 / 2**0.5, 4 / 2**0.5, 10 / 2**0.5], id="two"),
        pytest.param([], ["age=old", "hobby=unknown"], [1, 0.5, 4, 8], id="one that the model does not know"),
        pytest.param([did("v4")], ["age=old"], [1, 0.5 / 2**0.5, 4 + 4 / 2**0.5, 1 + 8 / 2**0.5], id="and a like"),
        pytest.param([did("v4")], [], [1, 0, 4, 1], id="a like alone"),
    ],
)
def test_a_stranger_is_described_by_features_as_by_one_like_more(
    recent: list[Recent], features: list[str], expected: list[float]
) -> None:
    row = fold_in(arrays(features=FEATURES), RULES, NEW, recent, features)
    assert row is not None
    assert row.tolist() == pytest.approx(expected, abs=1e-5)


def test_a_stranger_of_whom_the_model_knows_no_feature_stays_one() -> None:
    assert fold_in(arrays(features=FEATURES), RULES, NEW, [], ["hobby=unknown"]) is None
    assert fold_in(arrays(), RULES, NEW, [], ["age=old"]) is None


def test_features_of_a_user_whom_the_model_knows_change_nothing() -> None:
    for recent in ([], [did("v4")]):
        with_features = fold_in(arrays(features=FEATURES), RULES, ANN, recent, ["age=old"])
        without = fold_in(arrays(features=FEATURES), RULES, ANN, recent)
        assert with_features is not None
        assert without is not None
        assert with_features.tolist() == without.tolist()
