"""What editors changed by hand."""

from collections.abc import Sequence
from typing import Any

import pytest

from runtime.models.model_bundle import ModelBundle
from scorer.domain.corrections import Correction, Kind, Part
from scorer.domain.ranker import Ranker
from scorer.domain.wish import Stages, Wish
from tests.model_bundles import arrays_of, manifest_of

CATALOGUE: dict[str, dict[str, Any]] = {
    "v0": {"author": "ann", "tags": ["cats", "fun"], "language": "en"},
    "v1": {"author": "bob", "tags": ["fun"], "language": "en"},
    "v2": {"author": "ann", "tags": [], "language": "de"},
    "v3": {},
}


@pytest.fixture
def ranker() -> Ranker:
    """`up` gives video i the score i and a prior of 10; his own bias is 0.5."""
    arrays = arrays_of({"up": (0.5, 1.0, 0.0)}, list(CATALOGUE), catalogue=CATALOGUE, prior=[10, 10, 10, 10])
    return Ranker(ModelBundle(manifest_of(), arrays))


def scores(ranker: Ranker, corrections: Sequence[Correction], **more: Any) -> dict[str, float]:
    found = ranker.rank(Wish("up", corrections=corrections, **more), ranker.buffer())
    return dict(zip(found.video_ids, found.scores, strict=True))


PLAIN = {"v3": 13.5, "v2": 12.5, "v1": 11.5, "v0": 10.5}


@pytest.mark.parametrize(
    ("corrections", "changed"),
    [
        pytest.param([], {}, id="none"),
        pytest.param([Correction(Kind.BOOST, 5, video_id="v0")], {"v0": 15.5}, id="one video"),
        pytest.param([Correction(Kind.REDUCE, 5, author_id="ann")], {"v0": 5.5, "v2": 7.5}, id="an author"),
        pytest.param([Correction(Kind.BOOST, 5, tag="fun")], {"v0": 15.5, "v1": 16.5}, id="a tag"),
        pytest.param([Correction(Kind.BOOST, 5, language="DE")], {"v2": 17.5}, id="a language in any case"),
        pytest.param([Correction(Kind.BOOST, 5, author_id="ann", tag="fun")], {"v0": 15.5}, id="both conditions"),
        pytest.param([Correction(Kind.BOOST, 5, video_id="v0", tag="dogs")], {}, id="a video without the tag"),
        pytest.param([Correction(Kind.BOOST, 5, video_id="v9")], {}, id="a video that the model does not know"),
        pytest.param([Correction(Kind.BOOST, 5, author_id="eve")], {}, id="an unknown author"),
        pytest.param([Correction(Kind.BOOST, 1)], {name: score + 1 for name, score in PLAIN.items()}, id="all videos"),
        pytest.param(
            [Correction(Kind.BOOST, 5, video_id="v0"), Correction(Kind.REDUCE, 2, author_id="ann")],
            {"v0": 13.5, "v2": 10.5},
            id="what is added sums up",
        ),
        pytest.param(
            [Correction(Kind.REWEIGHT, 0.5, author_id="ann", part=Part.PRIOR)], {"v0": 5.5, "v2": 7.5}, id="the prior"
        ),
        pytest.param(
            [Correction(Kind.REWEIGHT, 3, video_id="v2", part=Part.USER_ITEM)], {"v2": 16.5}, id="what the user likes"
        ),
        pytest.param([Correction(Kind.REWEIGHT, 9, part=Part.ITEM_BIAS)], {}, id="a part that is 0"),
        pytest.param(
            [Correction(Kind.REWEIGHT, 0.5, part=Part.PRIOR, video_id="v0")] * 2, {"v0": 3.0}, id="factors multiply"
        ),
        pytest.param(
            [Correction(Kind.BOOST, 4, video_id="v0"), Correction(Kind.REWEIGHT, 0.5, part=Part.PRIOR, video_id="v0")],
            {"v0": 9.5},
            id="what is added is not multiplied",
        ),
        pytest.param([Correction(Kind.REWEIGHT, 0.5, video_id="v0")], {}, id="no part"),
    ],
)
def test_what_a_correction_does(ranker: Ranker, corrections: list[Correction], changed: dict[str, float]) -> None:
    assert scores(ranker, corrections) == PLAIN | changed
    assert scores(ranker, corrections[::-1]) == PLAIN | changed, "in any order"


@pytest.mark.parametrize(
    ("block", "left"),
    [
        pytest.param(Correction(Kind.BLOCK, video_id="v3"), ["v2", "v1", "v0"], id="one video"),
        pytest.param(Correction(Kind.BLOCK, author_id="ann", language="en"), ["v3", "v2", "v1"], id="both conditions"),
        pytest.param(Correction(Kind.BLOCK, tag="fun"), ["v3", "v2"], id="a tag"),
        pytest.param(Correction(Kind.BLOCK), [], id="everything"),
    ],
)
def test_what_is_blocked_does_not_come_back_by_a_boost(ranker: Ranker, block: Correction, left: list[str]) -> None:
    assert list(scores(ranker, [block])) == left
    assert set(scores(ranker, [Correction(Kind.BOOST, 100), block])) == set(left)


def test_corrections_come_before_the_best_are_picked(ranker: Ranker) -> None:
    assert scores(ranker, [Correction(Kind.BOOST, 100, video_id="v0")], k=1) == {"v0": 110.5}


def test_a_prior_that_is_left_out_has_no_weight(ranker: Ranker) -> None:
    reweigh = [Correction(Kind.REWEIGHT, 7, part=Part.PRIOR)]
    without = {"v3": 3.5, "v2": 2.5, "v1": 1.5, "v0": 0.5}
    assert scores(ranker, reweigh, stages=Stages(skip_prior=True)) == without
