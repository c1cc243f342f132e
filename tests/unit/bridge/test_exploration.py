"""Places for new videos on the ladder's pages (issue 6: trending, then exploration)."""

from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.corrections import Correction, CorrectionKind, Corrections
from bridge.domain.exploration import GROUP, NewcomerList, Newcomers, explore, in_groups, lots, unblocked
from bridge.domain.filters import Conditions, VideoFacts, keeper
from bridge.domain.page import Ranking

SIZE = 100
RANKING = Ranking([f"t{number}" for number in range(SIZE)], [float(SIZE - number) for number in range(SIZE)])
NEW = [f"n{number}" for number in range(30)]
FACTS = {
    each: VideoFacts("ann" if place % 2 else "", frozenset({"cats"}), "", 9.0, None) for place, each in enumerate(NEW)
}


def everything(_video_id: str) -> bool:
    return True


def explored(
    seed: int,
    share: float = 0.1,
    *,
    ranking: Ranking = RANKING,
    new: Sequence[str] = NEW,
    groups: int = 1,
    may_appear: Callable[[str], bool] = everything,
) -> Ranking:
    return explore(ranking, Newcomers(new, FACTS, groups), may_appear, share, lots(seed))


def test_the_lots_are_those_of_splitmix() -> None:
    """The first number of the seed 1234567 is known from the generator's published test values."""
    assert next(lots(1234567)) == (6457827717110365317 >> 11) / 2**53


@given(st.integers(0, 2**64 - 1))
def test_lots_lie_between_0_and_1_and_go_on(seed: int) -> None:
    drawn = [lot for lot, _ in zip(lots(seed), range(100), strict=False)]
    assert all(0 <= lot < 1 for lot in drawn)
    assert len(set(drawn)) == 100


def test_new_videos_get_a_place_in_each_stretch_and_what_stood_there_moves_down() -> None:
    found = explored(7)
    places = [place for place, _ in found.explored()]
    assert len(places) in {10, 11}
    assert all(
        place in range(number * 100 // len(places), (number + 1) * 100 // len(places))
        for number, place in enumerate(places)
    )
    assert {found.video_ids[place] for place in places} <= set(NEW)
    assert [each for each in found.video_ids if each not in NEW] == RANKING.video_ids, "nothing is lost"
    assert all(propensity == 1 / 30 for _, propensity in found.explored())


def test_a_new_video_takes_the_score_of_what_it_moves_down() -> None:
    found = explored(7)
    for place, _ in found.explored():
        assert found.scores[place] == found.scores[place + 1]
    assert (
        dict(zip(found.video_ids, found.scores, strict=True)).items()
        >= dict(zip(RANKING.video_ids, RANKING.scores, strict=True)).items()
    )


@given(
    seed=st.integers(0, 2**64 - 1),
    share=st.sampled_from([0.02, 0.1, 0.5]),
    size=st.integers(0, 40),
    listed=st.lists(st.sampled_from(NEW), unique=True),
    barred=st.frozensets(st.sampled_from(NEW)),
)
def test_no_repeats_nothing_barred_and_no_more_than_the_share(
    seed: int, share: float, size: int, listed: list[str], barred: frozenset[str]
) -> None:
    video_ids = [*listed, *RANKING.video_ids[:size]]
    ranking = Ranking(video_ids, RANKING.scores[: len(video_ids)])
    found = explored(seed, share, ranking=ranking, may_appear=lambda video_id: video_id not in barred)
    won = [found.video_ids[place] for place, _ in found.explored()]
    assert len(set(found.video_ids)) == len(found.video_ids) == len(found.scores) == len(video_ids) + len(won)
    assert not barred & set(won)
    assert not set(listed) & set(won)
    assert list(found.scores) == sorted(found.scores, reverse=True)
    assert len(won) < len(video_ids) * share + 1
    left = len(NEW) - len(barred | set(listed))
    assert all(propensity == 1 / left for _, propensity in found.explored())


def test_each_new_video_has_the_chance_that_is_told() -> None:
    won = Counter[str]()
    for seed in range(1500):
        won.update(each for each in explored(seed).video_ids if each in FACTS)
    assert len(won) == 30
    assert all(each / won.total() == pytest.approx(1 / 30, rel=0.2) for each in won.values())


def test_each_place_of_a_page_may_be_the_one_the_first_included() -> None:
    page = Ranking(RANKING.video_ids[:20], RANKING.scores[:20])
    places = Counter(place for seed in range(2000) for place, _ in explored(seed, 0.05, ranking=page).explored())
    assert set(places) == set(range(20))
    assert all(each / 2000 == pytest.approx(0.05, rel=0.4) for each in places.values())


def test_a_share_of_less_than_a_place_falls_to_some_sessions() -> None:
    few = Ranking(RANKING.video_ids[:4], RANKING.scores[:4])
    got = sum(len(explored(seed, ranking=few).explored()) for seed in range(1000))
    assert got / 1000 == pytest.approx(0.4, abs=0.06)


def test_a_session_keeps_its_places_and_another_one_has_others() -> None:
    assert explored(1) == explored(1) != explored(2)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param({"new": []}, id="nothing new"),
        pytest.param({"may_appear": lambda _: False}, id="nothing that may appear"),
        pytest.param({"ranking": Ranking([], [])}, id="no page"),
        pytest.param({"share": 0.0}, id="no share"),
    ],
)
def test_where_no_place_goes_to_a_new_video_nothing_changes(case: dict[str, object]) -> None:
    ranking = case.get("ranking", RANKING)
    assert explored(7, **case) is ranking  # type: ignore[arg-type]


def test_filters_hold_strictly() -> None:
    """Decision 0007: what cannot be shown to meet a condition does not appear; every second author is unknown."""
    asked = Conditions(exclude_author_ids=frozenset({"bob"}))
    for seed in range(20):
        found = explored(seed, may_appear=keeper(asked, FACTS))
        assert {FACTS[found.video_ids[place]].author_id for place, _ in found.explored()} == {"ann"}
        assert {propensity for _, propensity in found.explored()} == {1 / 15}


def test_new_videos_are_parted_into_groups_of_one_size() -> None:
    video_ids = tuple(f"n{number}" for number in range(2 * GROUP + 1))
    groups = in_groups(NewcomerList(video_ids, FACTS))
    assert [len(each.video_ids) for each in groups] == [67, 67, 67]
    assert {each.groups for each in groups} == {3}
    assert {video_id for each in groups for video_id in each.video_ids} == set(video_ids)
    assert [len(each.video_ids) for each in in_groups(NewcomerList(video_ids[:GROUP], FACTS))] == [GROUP]
    assert not in_groups(NewcomerList((), {}))
    assert not in_groups(None)


def test_a_group_is_one_draw_more() -> None:
    """A video has a place with the chance that its group is the page's, times that among the group."""
    assert {propensity for _, propensity in explored(7, groups=4).explored()} == {1 / 120}


def test_what_editors_block_is_not_drawn_and_a_boost_is_no_place() -> None:
    block, boost = (
        Correction(CorrectionKind.BLOCK, author_id="ann"),
        Correction(CorrectionKind.BOOST, 5.0, video_id="n2"),
    )
    left = unblocked(Newcomers(NEW, FACTS, 3), Corrections((block, boost)))
    assert sorted(left.video_ids) == sorted(NEW[::2])
    assert left.groups == 3
