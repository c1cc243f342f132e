"""Ranking with a model: scores, masks, filters."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from runtime.models.model_bundle import ModelBundle
from scorer.domain.filters import Filters
from scorer.domain.ranker import Ranker
from scorer.domain.self_test import fault_of
from scorer.domain.wish import UNKNOWN_USER, Wish
from tests.model_bundles import arrays_of, manifest_of, small_bundle

CATALOGUE: dict[str, dict[str, Any]] = {
    "v0": {
        "author": "ann",
        "tags": ["cats", "fun"],
        "language": "en",
        "duration_s": 10,
        "published_ms": 1000,
        "country": "GB",
    },
    "v1": {
        "author": "bob",
        "tags": ["dogs"],
        "language": "de",
        "duration_s": 30,
        "published_ms": 2000,
        "country": "AT",
    },
    "v2": {"author": "ann", "tags": [], "language": "pt-br", "duration_s": 60, "published_ms": 3000, "country": "BR"},
    "v3": {},
    "v4": {"author": "cat", "tags": ["fun"], "language": "en", "duration_s": 5, "published_ms": 9, "active": False},
}


def ranker_of(**arguments: Any) -> Ranker:
    """`up` gives video i the score i, `down` -i."""
    users = {"up": (0.0, 1.0, 0.0), "down": (0.0, -1.0, 0.0)}
    return Ranker(ModelBundle(manifest_of(), arrays_of(users, list(CATALOGUE), **arguments)))


def ranked(ranker: Ranker, wish: Wish) -> list[str]:
    return ranker.rank(wish, ranker.buffer()).video_ids


def test_best_first_with_falling_scores() -> None:
    ranker = ranker_of()
    found = ranker.rank(Wish("up"), ranker.buffer())
    assert (found.video_ids, found.scores, found.known) == (["v4", "v3", "v2", "v1", "v0"], [4, 3, 2, 1, 0], True)
    assert ranked(ranker, Wish("down", k=2)) == ["v0", "v1"]


def test_an_unknown_user_gets_nothing() -> None:
    ranker = ranker_of()
    assert ranker.rank(Wish("stranger"), ranker.buffer()) == UNKNOWN_USER


def test_the_prior_is_added_to_everybody() -> None:
    assert ranked(ranker_of(prior=[10, 0, 0, 0, 0]), Wish("up", k=2)) == ["v0", "v4"]


def test_the_users_bias_is_part_of_the_score() -> None:
    arrays = arrays_of({"up": (5.0, 1.0, 0.0)}, ["v0", "v1"])
    ranker = Ranker(ModelBundle(manifest_of(), arrays))
    assert ranker.rank(Wish("up"), ranker.buffer()).scores == [6.0, 5.0]


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        pytest.param(Wish("up"), ["v3", "v2", "v1", "v0"], id="inactive never"),
        pytest.param(Wish("up", exclude_video_ids=["v3", "unknown", "v1"]), ["v2", "v0"], id="excluded"),
        pytest.param(Wish("up", filters=Filters(include_tags=["fun"])), ["v0"], id="a tag"),
        pytest.param(Wish("up", filters=Filters(include_tags=["dogs", "cats"])), ["v1", "v0"], id="one of two tags"),
        pytest.param(Wish("up", filters=Filters(include_tags=["unknown"])), [], id="an unknown tag"),
        pytest.param(Wish("up", filters=Filters(exclude_tags=["fun", "x"])), ["v3", "v2", "v1"], id="without a tag"),
        pytest.param(Wish("up", filters=Filters(exclude_author_ids=["ann"])), ["v3", "v1"], id="without an author"),
        pytest.param(Wish("up", filters=Filters(languages=["EN", "pt-BR"])), ["v2", "v0"], id="languages in any case"),
        pytest.param(Wish("up", filters=Filters(languages=["xx"])), [], id="an unknown language"),
        pytest.param(Wish("up", filters=Filters(max_duration_s=30)), ["v1", "v0"], id="unknown duration fails a bound"),
        pytest.param(Wish("up", filters=Filters(published_after_ms=2000)), ["v2", "v1"], id="at or after"),
        pytest.param(Wish("up", excluded_text="v3\nunknown\nv1"), ["v2", "v0"], id="excluded by text"),
        pytest.param(Wish("up", filters=Filters(include_author_ids=["ann"])), ["v2", "v0"], id="an author"),
        pytest.param(Wish("up", filters=Filters(include_author_ids=["bob", "eve"])), ["v1"], id="one of two authors"),
        pytest.param(Wish("up", filters=Filters(exclude_languages=["DE"])), ["v2", "v0"], id="unknown language fails"),
        pytest.param(Wish("up", filters=Filters(min_duration_s=30)), ["v2", "v1"], id="long enough"),
        pytest.param(
            Wish("up", filters=Filters(min_duration_s=20, max_duration_s=40)), ["v1"], id="neither short nor long"
        ),
        pytest.param(Wish("up", filters=Filters(published_before_ms=2000)), ["v0"], id="before"),
        pytest.param(
            Wish("up", filters=Filters(published_after_ms=1000, published_before_ms=3000)), ["v1", "v0"], id="between"
        ),
        pytest.param(Wish("up", filters=Filters(countries=["AT", "br"])), ["v2", "v1"], id="countries in any case"),
        pytest.param(Wish("up", filters=Filters(countries=["XX"])), [], id="an unknown country"),
        pytest.param(
            Wish("up", filters=Filters(include_tags=["cats", "dogs"], max_duration_s=20, languages=["en"])),
            ["v0"],
            id="all together",
        ),
        pytest.param(Wish("up", k=1, filters=Filters(exclude_author_ids=["ann"])), ["v3"], id="filtered before top k"),
    ],
)
def test_what_may_appear(wish: Wish, expected: list[str]) -> None:
    assert ranked(ranker_of(catalogue=CATALOGUE), wish) == expected


def test_seen_videos_do_not_come_back() -> None:
    ranker = ranker_of(seen={"up": ["v4", "v2"]})
    assert ranked(ranker, Wish("up")) == ["v3", "v1", "v0"]
    assert len(ranked(ranker, Wish("down"))) == 5, "another user's"


def test_a_buffer_that_was_used_before_changes_nothing() -> None:
    ranker = ranker_of(seen={"up": ["v4"]})
    buffer = ranker.buffer()
    first = ranker.rank(Wish("up", exclude_video_ids=["v0"]), buffer)
    ranker.rank(Wish("down"), buffer)
    assert ranker.rank(Wish("up", exclude_video_ids=["v0"]), buffer) == first


def test_a_good_model_passes_its_self_test() -> None:
    assert fault_of(Ranker(small_bundle())) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"item_active": np.zeros(5, np.bool_)}, "no video is active", id="nothing to show"),
        pytest.param(
            {"item_prior": np.full(5, -np.inf, np.float32)}, "0 videos for user 0, not 5", id="empty rankings"
        ),
        pytest.param({"item_prior": np.array([np.inf, 0, 0, 0, 0], np.float32)}, "not finite", id="infinite scores"),
    ],
)
def test_a_model_that_cannot_rank_fails_its_self_test(changes: dict[str, Any], words: str) -> None:
    bundle = small_bundle()
    ranker = Ranker(ModelBundle(bundle.manifest, dataclasses.replace(bundle.arrays, **changes)))
    assert words in (fault_of(ranker) or "")
