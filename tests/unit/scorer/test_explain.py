"""What scores are made of: the parts add up, and everything that was taken out has its reason."""

from typing import Any

import numpy as np
import pytest

from runtime.models.model_bundle import ModelArrays, ModelBundle, text_table
from scorer.domain.corrections import Correction, Kind, Part
from scorer.domain.explain import Explanation, explain
from scorer.domain.filters import Filters
from scorer.domain.fold_in import Did, Recent
from scorer.domain.parts import PART_NAMES
from scorer.domain.ranker import Ranker
from scorer.domain.removals import Rule
from scorer.domain.wish import Ranking, Stages, Wish
from tests.model_bundles import arrays_of, manifest_of

VIDEOS, DIMENSIONS = 60, 8
USERS = ["ann", "bob"]


def arrays() -> ModelArrays:
    """Random factors; video i is by author i % 7 with tag i % 3, ann likes v00 to v02 and has seen them."""
    rng = np.random.default_rng(5)
    names = [f"v{number:02}" for number in range(VIDEOS)]
    catalogue: dict[str, dict[str, Any]] = {
        name: {"author": f"a{place % 7}", "tags": [f"t{place % 3}"], "active": place != 59, "language": "en"}
        for place, name in enumerate(names)
    }
    liked = {"ann": names[:3]}
    small = arrays_of(dict.fromkeys(USERS, (0.0, 0.0, 0.0)), names, seen=liked, history=liked, catalogue=catalogue)
    user = rng.normal(size=(2, DIMENSIONS + 2)).astype(np.float32)
    item = rng.normal(size=(VIDEOS, DIMENSIONS + 2)).astype(np.float32)
    history = rng.normal(size=(VIDEOS, DIMENSIONS + 2)).astype(np.float32)
    user[:, 0] = item[:, 1] = 1
    history[:, 0] = 0
    features = np.zeros((0, DIMENSIONS + 2), np.float32)
    changed = {"user_factors": user, "item_factors": item, "history_factors": history, "feature_factors": features}
    prior = rng.normal(size=VIDEOS).astype(np.float32)
    return ModelArrays(**(small.named() | changed | {"item_prior": prior, "user_ids": text_table(USERS)}))


RANKER = Ranker(ModelBundle(manifest_of(dimensions=DIMENSIONS), arrays()))
CHANGED = (
    Correction(Kind.BOOST, 0.5, tag="t1"),
    Correction(Kind.REWEIGHT, 0.5, part=Part.PRIOR),
    Correction(Kind.REWEIGHT, 2.0, author_id="a3", part=Part.USER_ITEM),
)
STAGES = Stages(shuffle=0.3, diversity=0.2, max_run=1, exploration=0.2)
LIKED_NOW = (Recent("v33", Did.LIKED, 0.0, 1),)


def rank(**fields: Any) -> Ranking:
    return RANKER.rank(Wish("ann", 40, **fields), RANKER.buffer())


def rows_of(found: Ranking) -> np.ndarray:
    return np.frombuffer(found.parts, "<f4").reshape(-1, len(PART_NAMES))


def scores_of(found: Ranking) -> dict[str, float]:
    return dict(zip(found.video_ids, found.scores, strict=True))


def told(wish: Wish, *video_ids: str) -> list[Explanation]:
    return explain(RANKER, wish, video_ids, RANKER.buffer()).explanations


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="model and prior"),
        pytest.param({"corrections": CHANGED}, id="corrected"),
        pytest.param({"recent": LIKED_NOW}, id="folded in"),
        pytest.param({"stages": Stages(skip_prior=True)}, id="without prior"),
        pytest.param({"stages": STAGES, "seed": 9, "corrections": CHANGED, "recent": LIKED_NOW}, id="everything"),
    ],
)
def test_parts_add_up_to_the_served_scores(fields: dict[str, Any]) -> None:
    found = rank(parts=25, **fields)
    rows = rows_of(found)
    assert rows.shape == (25, len(PART_NAMES))
    np.testing.assert_allclose(rows.sum(axis=1), found.scores[:25], rtol=1e-4, atol=1e-5)


def test_each_part_is_what_it_is_called() -> None:
    found = rank(parts=40, corrections=CHANGED)
    bundle = RANKER.bundle.arrays
    for video_id, parts in zip(found.video_ids, rows_of(found).tolist(), strict=True):
        row = int(video_id[1:])
        user, item = bundle.user_factors[0], bundle.item_factors[row]
        user_item, prior = float(user[2:] @ item[2:]), float(bundle.item_prior[row])
        correction = 0.5 * (row % 3 == 1) - 0.5 * prior + user_item * (row % 7 == 3)
        assert parts == pytest.approx([user_item, user[1], item[0], prior, correction, 0], abs=1e-4)


def test_what_stages_moved_is_a_part_of_its_own() -> None:
    plain = scores_of(rank())
    found = rank(parts=40, stages=STAGES, seed=9)
    stages = rows_of(found)[:, -1]
    moved = [score - plain.get(video, np.nan) for video, score in zip(found.video_ids, found.scores, strict=True)]
    in_both = np.isfinite(moved)
    assert in_both.sum() > 20
    np.testing.assert_allclose(stages[in_both], np.array(moved)[in_both], atol=1e-4)
    assert np.abs(stages).max() > 0.1


def test_nothing_is_taken_apart_unless_asked() -> None:
    assert (rank().parts, rank().removed) == (b"", {})
    assert len(rows_of(rank(parts=1000))) == 40, "no more than there are"


def test_what_each_rule_took_out_is_counted_once() -> None:
    """The first rule counts; v59 is inactive, which is no rule of the request."""
    found = rank(
        parts=1,
        exclude_video_ids=["v00", "v10", "v10"],
        excluded_text="v11\nv10\nnone\nv59",
        filters=Filters(exclude_tags=["t2"]),
        corrections=[Correction(Kind.BLOCK, author_id="a0")],
    )
    rest = set(range(3, 59)) - {10, 11}
    filtered = {row for row in rest if row % 3 == 2}
    blocked = {row for row in rest - filtered if row % 7 == 0}
    assert found.removed == {"seen": 3, "excluded": 2, "filtered": len(filtered), "blocked": len(blocked)}
    assert len(found.video_ids) == len(rest - filtered - blocked)


def test_an_explanation_adds_up_to_the_score_and_parts_the_liked_from_the_own() -> None:
    wish = Wish("ann", corrections=CHANGED, recent=LIKED_NOW)
    scores = scores_of(RANKER.rank(wish, RANKER.buffer()))
    for each in told(wish, "v03", "v24", "v40"):
        parts = dict(each.parts)
        assert list(parts) == ["user_own", "user_liked", "user_bias", "item_bias", "prior", "correction"]
        assert sum(parts.values()) == pytest.approx(each.score, rel=1e-4)
        assert each.score == pytest.approx(scores[each.video_id])
        bundle, row = RANKER.bundle.arrays, int(each.video_id[1:])
        # The newest three describe a user: the like of a minute ago comes before the first two of the history.
        said = bundle.history_factors[[33, 0, 1], 2:].sum(axis=0) / np.sqrt(3)
        assert parts["user_liked"] == pytest.approx(float(said @ bundle.item_factors[row, 2:]), abs=1e-4)


def test_a_user_without_liked_videos_has_one_user_item_part() -> None:
    (each,) = told(Wish("bob"), "v10")
    assert [name for name, _ in each.parts] == ["user_item", "user_bias", "item_bias", "prior", "correction"]
    assert each.because == ()


def test_the_liked_videos_that_speak_for_a_video_are_named_best_first() -> None:
    """At most three, only those that add to the score, those of a minute ago too, and never the video itself."""
    history = RANKER.bundle.arrays.history_factors
    wish = Wish("ann", recent=LIKED_NOW)
    named = set[str]()
    for row in range(VIDEOS):
        says = {liked: float(history[liked, 2:] @ RANKER.bundle.arrays.item_factors[row, 2:]) for liked in (33, 0, 1)}
        expected = sorted((liked for liked in says if says[liked] > 0 and liked != row), key=lambda liked: -says[liked])
        (each,) = told(wish, f"v{row:02}")
        assert each.because == tuple(f"v{liked:02}" for liked in expected)
        named.update(each.because)
    assert named == {"v33", "v00", "v01"}


@pytest.mark.parametrize(
    ("video_id", "fields", "rule"),
    [
        pytest.param("v20", {}, None, id="nothing"),
        pytest.param("v59", {}, Rule.INACTIVE, id="inactive"),
        pytest.param("v01", {}, Rule.SEEN, id="seen"),
        pytest.param("v01", {"stages": Stages(skip_seen=True)}, None, id="seen but allowed"),
        pytest.param("v20", {"exclude_video_ids": ["v20"]}, Rule.EXCLUDED, id="excluded"),
        pytest.param("v20", {"excluded_text": "v21\nv20"}, Rule.EXCLUDED, id="excluded by text"),
        pytest.param("v20", {"filters": Filters(exclude_tags=["t2"])}, Rule.FILTERED, id="filtered"),
        pytest.param("v20", {"corrections": [Correction(Kind.BLOCK, tag="t2")]}, Rule.BLOCKED, id="blocked"),
        pytest.param(
            "v20",
            {"corrections": [Correction(Kind.BLOCK)], "filters": Filters(countries=["AT"])},
            Rule.FILTERED,
            id="the first rule counts",
        ),
    ],
)
def test_what_keeps_a_video_off_is_named_and_its_score_told_all_the_same(
    video_id: str, fields: dict[str, Any], rule: Rule | None
) -> None:
    (each,) = told(Wish("ann", **fields), video_id)
    assert (each.removed_by, each.known) == (rule, True)
    assert each.score != 0


def test_an_unknown_video_and_an_unknown_user_are_said_to_be_so() -> None:
    assert told(Wish("ann"), "v99") == [Explanation("v99")]
    found = explain(RANKER, Wish("eve"), ["v10", "v99"], RANKER.buffer())
    assert (found.known, found.explanations) == (False, [Explanation("v10", known=True), Explanation("v99")])


def test_an_unknown_user_is_explained_by_what_he_liked() -> None:
    found = explain(RANKER, Wish("eve", recent=LIKED_NOW), ["v10"], RANKER.buffer())
    (each,) = found.explanations
    assert found.known is False
    assert sum(value for _, value in each.parts) == pytest.approx(each.score, abs=1e-5)
    assert dict(each.parts)["user_own"] == 0
    skipped = explain(RANKER, Wish("eve", recent=LIKED_NOW, stages=Stages(skip_fold_in=True)), ["v10"], RANKER.buffer())
    assert skipped.explanations == [Explanation("v10", known=True)]
