"""Pages cut off a ranking: no repeats, scores never rising, positions going on."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.page import Page, Ranking, cut, tidy, without


@pytest.mark.parametrize(
    ("video_ids", "scores", "expected"),
    [
        pytest.param(["a", "b"], [2.0, 1.0], Ranking(["a", "b"], [2.0, 1.0]), id="in-order"),
        pytest.param([], [], Ranking([], []), id="nothing"),
        pytest.param(["a", "b", "a"], [3.0, 2.0, 1.0], Ranking(["a", "b"], [3.0, 2.0]), id="a-repeat-keeps-its-best"),
        pytest.param(["a", "b", "c"], [1.0, 3.0, 2.0], Ranking(["b", "c", "a"], [3.0, 2.0, 1.0]), id="rising"),
        pytest.param(["a", "b", "a"], [1.0, 2.0, 3.0], Ranking(["a", "b"], [3.0, 2.0]), id="rising-and-repeated"),
        pytest.param(["a", "b"], [1.0, 1.0], Ranking(["a", "b"], [1.0, 1.0]), id="ties-keep-their-order"),
        pytest.param(["a"], [], None, id="a-score-missing"),
        pytest.param(["a", "b"], [1.0, float("nan")], None, id="not-a-number"),
        pytest.param(["a", "b"], [float("inf"), 1.0], None, id="infinite"),
        pytest.param(["a", "b"], [float("inf"), float("-inf")], None, id="infinite-both-ways"),
    ],
)
def test_a_scorers_answer_is_made_a_ranking(
    video_ids: list[str], scores: list[float], expected: Ranking | None
) -> None:
    assert tidy(video_ids, scores) == expected


def test_excluded_videos_go_with_their_scores() -> None:
    ranking = Ranking(["a", "b", "c"], [3.0, 2.0, 1.0])
    assert without(ranking, frozenset({"b", "z"})) == Ranking(["a", "c"], [3.0, 1.0])
    assert without(ranking, frozenset({"z"})) is ranking


def test_a_page_and_its_rest() -> None:
    page = cut(Ranking(["a", "b", "c"], [3.0, 2.0, 1.0]), 2, 21)
    assert page == Page(["a", "b"], [3.0, 2.0], 21, Ranking(["c"], [1.0]))


def test_places_of_new_videos_are_those_of_the_page() -> None:
    propensities = {"b": 0.5, "d": 0.25}
    ranking = without(Ranking(["a", "b", "c", "d"], [4.0, 3.0, 2.0, 1.0], propensities), frozenset("a"))
    page = cut(ranking, 2, 1)
    assert page.explored == [(0, 0.5)]
    assert cut(page.rest, 2, 3).explored == [(0, 0.25)]


@given(
    pairs=st.lists(st.tuples(st.sampled_from("abcdefgh"), st.floats(-1e6, 1e6, width=32))),
    excluded=st.frozensets(st.sampled_from("abcdefgh")),
    sizes=st.lists(st.integers(1, 4), min_size=10, max_size=10),
)
def test_scrolling_shows_every_video_once_in_order(
    pairs: list[tuple[str, float]], excluded: frozenset[str], sizes: Sequence[int]
) -> None:
    tidied = tidy([video_id for video_id, _ in pairs], [score for _, score in pairs])
    assert tidied is not None
    left, position = without(tidied, excluded), 0
    shown: list[str] = []
    scores: list[float] = []
    for size in sizes:
        page = cut(left, size, position + 1)
        shown += page.video_ids
        scores += page.scores
        position += len(page.video_ids)
        left = page.rest
    assert sorted(shown) == sorted({video_id for video_id, _ in pairs} - excluded)
    assert scores == sorted(scores, reverse=True)
    assert position == len(shown)
