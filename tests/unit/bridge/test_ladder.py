"""Which list serves when the scorer's does not (design part 4: fallback ladder)."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bridge.domain.corrections import Correction, CorrectionKind, Corrections
from bridge.domain.filters import Conditions, VideoFacts, keeper, unconditional
from bridge.domain.ladder import Rung, Skip, Skipped, choose, with_corrections
from bridge.domain.lists import EVERYBODY, EditorialList, TrendingLists, active_only, ladders
from bridge.domain.outcome import Source
from bridge.domain.trending import Trend


def rung(name: str, *video_ids: str) -> Rung:
    scores = tuple(float(len(video_ids) - place) for place in range(len(video_ids)))
    return Rung(name, Source.TRENDING, "trending", video_ids, scores)


@pytest.mark.parametrize(
    ("rungs", "excluded", "expected", "skipped"),
    [
        pytest.param(
            [rung("a", "1", "2"), rung("b", "3", "4")], set(), ("a", ["1", "2"]), (), id="the-first-that-fills-a-page"
        ),
        pytest.param([rung("a"), rung("b", "3", "4")], set(), ("b", ["3", "4"]), (("a", Skip.EMPTY),), id="empty"),
        pytest.param(
            [rung("a", "1"), rung("b", "3", "4")], set(), ("b", ["3", "4"]), (("a", Skip.TOO_SHORT),), id="too-short"
        ),
        pytest.param(
            [rung("a", "1", "2"), rung("b", "3", "4")],
            {"1", "2"},
            ("b", ["3", "4"]),
            (("a", Skip.FILTERED_OUT),),
            id="filtered-out",
        ),
        pytest.param(
            [rung("a"), rung("b", "3"), rung("c")],
            set(),
            ("b", ["3"]),
            (("a", Skip.EMPTY), ("c", Skip.EMPTY)),
            id="none-fills-a-page-so-the-longest",
        ),
        pytest.param([rung("a"), rung("b")], set(), ("a", []), (("b", Skip.EMPTY),), id="nothing-at-all"),
        pytest.param(
            [Skipped("own", Skip.STALE), rung("a", "1", "2")],
            set(),
            ("a", ["1", "2"]),
            (("own", Skip.STALE),),
            id="one-that-cannot-serve",
        ),
        pytest.param(
            [Skipped("own", Skip.BUSY), rung("a", "1")],
            set(),
            ("a", ["1"]),
            (("own", Skip.BUSY),),
            id="one-that-cannot-serve-and-one-too-short",
        ),
    ],
)
def test_the_ladder(
    rungs: list[Rung | Skipped],
    excluded: set[str],
    expected: tuple[str, list[str]],
    skipped: tuple[tuple[str, Skip], ...],
) -> None:
    choice = choose(rungs, Conditions(excluded=frozenset(excluded)), page_size=2, limit=10)
    assert (choice.rung.name, list(choice.rung.video_ids)) == expected
    assert choice.skipped == skipped


def test_scores_stay_with_their_videos() -> None:
    choice = choose([rung("a", "1", "2", "3")], Conditions(excluded=frozenset("2")), page_size=2, limit=10)
    assert list(zip(choice.rung.video_ids, choice.rung.scores, strict=True)) == [("1", 3.0), ("3", 1.0)]


def test_no_more_are_taken_than_the_limit() -> None:
    for asked in (Conditions(), Conditions(excluded=frozenset("1"))):
        choice = choose([rung("a", "1", "2", "3", "4")], asked, page_size=1, limit=2)
        assert len(choice.rung.video_ids) == len(choice.rung.scores) == 2


@given(
    st.lists(st.integers(0, 12).map(str), unique=True, max_size=12),
    st.frozensets(st.integers(0, 12).map(str)),
    st.integers(1, 12),
)
def test_what_is_excluded_makes_room_for_the_next(video_ids: list[str], excluded: frozenset[str], limit: int) -> None:
    choice = choose([rung("a", *video_ids)], Conditions(excluded=excluded), page_size=1, limit=limit)
    assert list(choice.rung.video_ids) == [each for each in video_ids if each not in excluded][:limit]
    assert len(choice.rung.scores) == len(choice.rung.video_ids)


def test_a_ladder_without_rungs_is_a_bug() -> None:
    with pytest.raises(ValueError, match="at least one rung"):
        choose([Skipped("own", Skip.NONE)], Conditions(), page_size=1, limit=1)


def test_each_rung_is_filtered_by_what_is_known_of_its_own_videos() -> None:
    """Decision 0007: what cannot be shown to fit does not appear."""
    asked = Conditions(include_tags=frozenset({"cats"}))
    unknown = rung("a", "plain", "other")
    known = replace(rung("b", "plain", "bare"), facts=FACTS)
    choice = choose([unknown, known], asked, page_size=1, limit=10)
    assert (choice.rung.name, list(choice.rung.video_ids)) == ("b", ["plain"])
    assert choice.skipped == (("a", Skip.FILTERED_OUT),)


FACTS = {
    "plain": VideoFacts("ann", frozenset({"cats", "fun"}), "en", 30.0, 1_000.0, "GB"),
    "bare": VideoFacts("", frozenset(), "", None, None),
}


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        pytest.param(Conditions(), {"plain", "bare", "unknown"}, id="no-condition"),
        pytest.param(Conditions(excluded=frozenset({"plain"})), {"bare", "unknown"}, id="excluded-by-name"),
        pytest.param(Conditions(include_tags=frozenset({"cats", "dogs"})), {"plain"}, id="one-of-the-tags"),
        pytest.param(Conditions(include_tags=frozenset({"dogs"})), set(), id="none-of-the-tags"),
        pytest.param(Conditions(exclude_tags=frozenset({"fun"})), {"bare"}, id="a-barred-tag"),
        pytest.param(Conditions(exclude_author_ids=frozenset({"ann"})), set(), id="a-barred-or-unknown-author"),
        pytest.param(Conditions(exclude_author_ids=frozenset({"bob"})), {"plain"}, id="another-author"),
        pytest.param(Conditions(languages=frozenset({"en", "de"})), {"plain"}, id="one-of-the-languages"),
        pytest.param(Conditions(languages=frozenset({"de"})), set(), id="none-of-the-languages"),
        pytest.param(Conditions(max_duration_s=30.0), {"plain"}, id="just-short-enough"),
        pytest.param(Conditions(max_duration_s=29.9), set(), id="too-long"),
        pytest.param(Conditions(published_after=1_000.0), {"plain"}, id="just-new-enough"),
        pytest.param(Conditions(published_after=1_000.5), set(), id="too-old"),
        pytest.param(Conditions(include_author_ids=frozenset({"ann", "bob"})), {"plain"}, id="one-of-the-authors"),
        pytest.param(Conditions(include_author_ids=frozenset({"bob"})), set(), id="none-of-the-authors"),
        pytest.param(Conditions(languages=frozenset({"EN"})), {"plain"}, id="a-language-in-other-letters"),
        pytest.param(Conditions(exclude_languages=frozenset({"En"})), set(), id="a-barred-or-unknown-language"),
        pytest.param(Conditions(exclude_languages=frozenset({"de"})), {"plain"}, id="another-language"),
        pytest.param(Conditions(min_duration_s=30.0), {"plain"}, id="just-long-enough"),
        pytest.param(Conditions(min_duration_s=30.1), set(), id="too-short"),
        pytest.param(Conditions(published_before=1_000.5), {"plain"}, id="just-old-enough"),
        pytest.param(Conditions(published_before=1_000.0), set(), id="too-new"),
        pytest.param(Conditions(countries=frozenset({"GB", "US"})), {"plain"}, id="one-of-the-countries"),
        pytest.param(Conditions(countries=frozenset({"US"})), set(), id="none-of-the-countries"),
        pytest.param(
            Conditions(include_tags=frozenset({"cats"}), languages=frozenset({"de"})), set(), id="all-must-hold"
        ),
    ],
)
def test_what_cannot_be_shown_to_meet_a_condition_does_not_appear(asked: Conditions, kept: set[str]) -> None:
    keep = keeper(asked, FACTS)
    assert unconditional(asked) == (asked == replace(Conditions(), excluded=asked.excluded))
    assert {video_id for video_id in ("plain", "bare", "unknown") if keep(video_id)} == kept


TRENDS = {
    EVERYBODY: Trend(("g",), (1.0,)),
    "GB": Trend(("b",), (2.0,)),
    "lang:en": Trend(("l",), (3.0,)),
}


@pytest.mark.parametrize(
    ("country", "locale", "first"),
    [
        pytest.param("GB", "en-GB", ["trending_country", "trending_language"], id="both"),
        pytest.param("GB", "fr-FR", ["trending_country"], id="a-language-without-a-trend"),
        pytest.param("US", "en_US", ["trending_language"], id="a-country-without-a-trend"),
        pytest.param("", "EN", ["trending_language"], id="language-alone-in-other-letters"),
        pytest.param("", "", [], id="nothing-known"),
        pytest.param("global", "global", [], id="no-way-around-a-rung"),
        pytest.param("", "en1", [], id="no-locale"),
    ],
)
def test_a_country_gets_its_own_trend_first_then_a_language(country: str, locale: str, first: list[str]) -> None:
    made = ladders(TrendingLists(0.0, TRENDS, {}), EditorialList(("e", "f"), {}))
    assert [each.name for each in made.of(country, locale)] == [*first, "trending_global", "editorial"]


def test_what_the_rungs_hold() -> None:
    made = ladders(TrendingLists(0.0, TRENDS, {}), EditorialList(("e", "f"), {}))
    rungs = made.of("GB", "en")
    assert [(each.source, tuple(each.video_ids)) for each in rungs] == [
        (Source.TRENDING, ("b",)),
        (Source.TRENDING, ("l",)),
        (Source.TRENDING, ("g",)),
        (Source.EDITORIAL, ("e", "f")),
    ]
    assert rungs[-1].scores == (1.0, 0.5)
    assert {each.algorithm for each in rungs} == {"trending", "editorial"}


def test_without_any_list_there_are_still_rungs() -> None:
    assert [len(each.video_ids) for each in ladders(None, None).of("GB", "en")] == [0, 0]


def test_a_long_history_is_asked_only_whether_a_video_is_in_it() -> None:
    """10,000 videos that a user has seen must not be gone through for each rung."""

    class Seen(frozenset[str]):
        def __iter__(self) -> Iterator[str]:
            raise AssertionError

        def __len__(self) -> int:
            raise AssertionError

        def __bool__(self) -> bool:
            return True

    choice = choose([rung("a", "1", "2"), rung("b", "3", "4")], Conditions(excluded=Seen(["1", "3"])), 2, 10)
    assert (choice.rung.name, list(choice.rung.video_ids)) == ("a", ["2"])


def test_each_rung_is_as_editors_corrected_it() -> None:
    block = Corrections((Correction(CorrectionKind.BLOCK, video_id="1"),))
    own, *rest = with_corrections([Skipped("own", Skip.BUSY), rung("a", "1", "2"), rung("b", "3", "1")], block)
    assert own == Skipped("own", Skip.BUSY)
    assert [tuple(each.video_ids) for each in rest if isinstance(each, Rung)] == [("2",), ("3",)]


def test_a_view_of_an_invented_video_does_not_make_it_trend() -> None:
    trends = {EVERYBODY: Trend(("invented", "plain"), (9.0, 1.0))}
    assert active_only(trends, FACTS) == {EVERYBODY: Trend(("plain",), (1.0,))}
