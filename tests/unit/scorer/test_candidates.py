"""Rankings by an index, held against rankings by a look at all videos."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.models.model_bundle import Floats, ModelBundle
from scorer.domain.corrections import Correction, Kind, Part
from scorer.domain.filters import Filters
from scorer.domain.ranker import Ranker
from scorer.domain.shortlist import Rows
from scorer.domain.wish import Stages, Wish
from tests.model_bundles import arrays_of, manifest_of

VIDEOS = [f"v{number:03}" for number in range(400)]


class ExactIndex:
    """A VideoIndex that looks at everything, so that a difference is the picking's; it counts what it was asked."""

    def __init__(self, bundle: ModelBundle) -> None:
        arrays = bundle.arrays
        self._rows = np.flatnonzero(arrays.item_active)
        self._table = np.column_stack([arrays.item_factors[:, 0], arrays.item_prior, arrays.item_factors[:, 2:]])
        self.asked: list[int] = []

    def nearest(self, query: Floats, count: int) -> Rows:
        self.asked.append(count)
        scores = self._table[self._rows] @ query
        return self._rows[np.argsort(-scores, kind="stable")[:count]]


def bundle_of(seed: int = 5) -> ModelBundle:
    """Whole numbers, so that scores are exact in any order of adding; ties, inactive videos, two authors and tags."""
    draw = np.random.default_rng(seed)
    catalogue = {
        name: {"author": f"a{number % 40}", "tags": [f"t{number % 7}"], "active": number % 11 != 3}
        for number, name in enumerate(VIDEOS)
    }
    arrays = arrays_of({"up": (1.0, 1.0, 3.0), "down": (0.0, -2.0, 1.0)}, VIDEOS, catalogue=catalogue)
    factors = draw.integers(-9, 10, (len(VIDEOS), 4)).astype(np.float32)
    factors[:, 1] = 1
    prior = draw.integers(0, 5, len(VIDEOS)).astype(np.float32)
    return ModelBundle(manifest_of(), replace(arrays, item_factors=factors, item_prior=prior))


BUNDLE = bundle_of()


def both(wish: Wish, bundle: ModelBundle = BUNDLE) -> tuple[Any, Any, list[int]]:
    index = ExactIndex(bundle)
    by_index, by_all = Ranker(bundle, index), Ranker(bundle)
    return by_index.rank(wish, by_index.buffer()), by_all.rank(wish, by_all.buffer()), index.asked


corrections = st.one_of(
    st.builds(
        Correction,
        kind=st.sampled_from([Kind.BOOST, Kind.REDUCE, Kind.BLOCK]),
        value=st.integers(1, 60).map(float),
        video_id=st.sampled_from(["", *VIDEOS[:20]]),
        author_id=st.sampled_from(["", "a1", "a7", "unknown"]),
        tag=st.sampled_from(["", "t2"]),
    ),
    st.builds(
        Correction,
        kind=st.just(Kind.REWEIGHT),
        value=st.sampled_from([0.0, 2.0]),
        part=st.sampled_from(list(Part)),
    ),
)


@given(
    user_id=st.sampled_from(["up", "down"]),
    k=st.integers(1, 60),
    excluded=st.lists(st.sampled_from(VIDEOS), max_size=390),
    tags=st.sampled_from([(), ("t1",), ("t1", "t2", "t3", "t4"), ("none",)]),
    changes=st.lists(corrections, max_size=4),
    exploration=st.sampled_from([0.0, 0.3]),
    skip_prior=st.booleans(),
    parts=st.sampled_from([0, 10]),
)
def test_a_ranking_by_an_index_equals_one_by_all(  # noqa: PLR0913, PLR0917
    user_id: str,
    k: int,
    excluded: Sequence[str],
    tags: Sequence[str],
    changes: Sequence[Correction],
    exploration: float,
    skip_prior: bool,
    parts: int,
) -> None:
    wish = Wish(
        user_id,
        k=k,
        filters=Filters(include_tags=tags),
        exclude_video_ids=excluded,
        seed=9,
        stages=Stages(exploration=exploration, skip_prior=skip_prior),
        corrections=changes,
        parts=parts,
    )
    by_index, by_all, _ = both(wish)
    assert by_index == by_all


@pytest.mark.parametrize(
    ("wish", "rounds"),
    [
        pytest.param(Wish("up", k=10), [84], id="the first candidates are enough"),
        pytest.param(Wish("up", k=25, filters=Filters(include_tags=["t1"])), [114, 456], id="more of them are"),
        pytest.param(
            Wish("up", k=60, filters=Filters(include_tags=["t1"])), [184, 736], id="too few: all are looked at"
        ),
        pytest.param(
            Wish("up", k=10, corrections=[Correction(Kind.REWEIGHT, 0.0, part=Part.PRIOR)]), [], id="weighed anew: all"
        ),
        pytest.param(
            Wish("up", k=10, corrections=[Correction(Kind.BOOST, 99.0, video_id="v001")]), [84], id="one is raised"
        ),
        pytest.param(Wish("up", k=10, corrections=[Correction(Kind.REDUCE, 9.0)]), [84, 336], id="all are lowered"),
        pytest.param(Wish("nobody", k=10), [], id="nobody"),
    ],
)
def test_how_often_the_index_is_asked(wish: Wish, rounds: list[int]) -> None:
    by_index, by_all, asked = both(wish)
    assert (asked, by_index) == (rounds, by_all)


def test_a_video_that_is_raised_is_found_wherever_it_was() -> None:
    worst = Ranker(BUNDLE).rank(Wish("up", k=400), Ranker(BUNDLE).buffer()).video_ids[-1]
    found, _, asked = both(Wish("up", k=5, corrections=[Correction(Kind.BOOST, 100.0, video_id=worst)]))
    assert (found.video_ids[0], asked) == (worst, [74])
