"""New videos have their places on trending pages, too: for strangers, and for everybody while no scorer answers."""

from dataclasses import replace

import pytest

from bridge.domain.corrections import Correction, CorrectionKind, Corrections
from bridge.domain.exploration import Newcomers
from bridge.domain.filters import VideoFacts
from bridge.domain.lists import EditorialList, ladders
from bridge.domain.outcome import Outcome
from bridge.fakes import Act, FixedCorrections
from bridge.knowledge import Knowledge, WishPolicy
from bridge.service import ServicePolicy
from feed.common.v1 import common_pb2
from feed.recommendations.v1 import recommendations_pb2 as pb
from feed.scoring.v1 import scoring_pb2
from tests.unit.bridge.test_service import (
    OK,
    POLICY,
    TREND,
    Bridge,
    FixedHistory,
    bridge,
    fails,
    ids,
    interaction,
    scrolled,
)

FACTS = {f"n{number}": VideoFacts("", frozenset({"odd"} if number % 2 else ()), "", 5.0, 0.0) for number in range(6)}
NEW = Newcomers(tuple(FACTS), FACTS)
DOWN = fails(Outcome.UNAVAILABLE)
STRANGER = Act(scoring_pb2.RankResponse())


def exploring(*acts: Act, share: float = 0.2, new: Newcomers = NEW) -> Bridge:
    return bridge(acts, newcomers=new, policy=with_share(share))


def with_share(share: float) -> ServicePolicy:
    return replace(POLICY, exploration=share)


def new_on(*pages: pb.GetRecommendationsResponse) -> list[str]:
    return [video_id for page in pages for video_id in ids(page) if video_id in FACTS]


def new_in_last_ranking(made: Bridge) -> set[str]:
    """Returns the new videos of the last page and of those that follow it."""
    page = made.recorder.pages[-1].page
    return {*page.video_ids, *page.rest.video_ids} & set(FACTS)


@pytest.mark.parametrize(
    ("act", "reason"),
    [pytest.param(STRANGER, pb.EMPTY_RANKING, id="stranger"), pytest.param(DOWN, pb.UNAVAILABLE, id="outage")],
)
async def test_a_trending_page_has_its_share_of_new_videos_and_says_which(act: Act, reason: int) -> None:
    made = exploring(act)
    page = await made.page(page_size=20)
    (record,) = made.recorder.pages
    assert (page.source, page.fallback_reason, page.algorithm) == (pb.TRENDING, reason, "trending")
    assert [ids(page)[place] for place, _ in record.page.explored] == new_on(page)
    assert len(new_on(page)) in {3, 4, 5}, "a fifth of 20, one in each stretch"
    assert {propensity for _, propensity in record.page.explored} == {1 / 6}
    assert [each for each in ids(page) if each not in FACTS] == list(TREND.video_ids[: 20 - len(new_on(page))])


async def test_a_session_shows_everything_once_new_videos_included() -> None:
    """What they move down comes later: nothing twice, nothing left out, also where the list has an end."""
    pages = await scrolled(exploring(STRANGER, share=0.5), 7)
    shown = {video_id for page in pages for video_id in ids(page)}
    assert shown == {*TREND.video_ids, *FACTS, *(f"e{number}" for number in range(25))}


async def test_later_pages_tell_of_their_new_videos_too() -> None:
    made = exploring(DOWN, share=0.2)
    first = await made.page(page_size=10)
    second = await made.page(page_size=10, page_token=first.next_page_token)
    told = [[each.page.video_ids[place] for place, _ in each.page.explored] for each in made.recorder.pages]
    assert told == [new_on(first), new_on(second)]
    assert second.source == pb.TRENDING
    assert len(new_on(second)) > 0


async def test_the_same_session_has_the_same_new_videos_and_another_one_others() -> None:
    pages = [await exploring(DOWN).page(feed_session_id=session) for session in ("s1", "s1", "s2")]
    assert ids(pages[0]) == ids(pages[1]) != ids(pages[2])


async def test_what_is_excluded_seen_blocked_or_cannot_be_shown_to_fit_gets_no_place() -> None:
    """n1, n3 and n5 meet the filter; one was excluded by name, one just seen, one is blocked."""
    made = exploring(DOWN, share=0.5)
    block = Corrections((Correction(CorrectionKind.BLOCK, video_id="n5"),))
    made.service._knowledge = Knowledge(WishPolicy(candidates=50), corrector=FixedCorrections(block))
    filters = common_pb2.VideoFilters(include_tags=["odd"], exclude_video_ids=["n1"])
    page = await made.page(page_size=10, filters=filters, recent_interactions=[interaction("n3")])
    assert len(ids(page)) == 10
    assert new_in_last_ranking(made) == set()
    await made.page(page_size=10, filters=common_pb2.VideoFilters(include_tags=["odd"]))
    assert new_in_last_ranking(made) == {"n1", "n3"}


async def test_what_was_seen_or_sent_gets_no_place_even_when_the_feed_starts_over() -> None:
    made = exploring(DOWN, share=0.5)
    seen = (*TREND.video_ids, *(f"e{number}" for number in range(25)), "n0", "n1", "n2")
    made.service._knowledge = Knowledge(WishPolicy(candidates=50), history=FixedHistory(*seen))
    await made.page(page_size=10)
    assert new_in_last_ranking(made) == {"n3", "n4", "n5"}


@pytest.mark.parametrize("share", [0.0, 0.5])
async def test_pages_of_the_model_and_of_editors_are_left_as_they_are(share: float) -> None:
    page = await exploring(OK, share=share).page()
    assert (page.source, new_on(page)) == (pb.LIGHTFM, [])
    editorial = ladders(None, EditorialList(tuple(f"e{number}" for number in range(25)), {}))
    page = await bridge([DOWN], lists=editorial, newcomers=NEW, policy=with_share(share)).page()
    assert (page.source, new_on(page)) == (pb.EDITORIAL, [])


async def test_switched_off_nobody_asks_for_new_videos() -> None:
    made = exploring(DOWN, share=0.0)
    made.service._lists.newcomers = None  # type: ignore[assignment,method-assign]
    assert ids(await made.page()) == list(TREND.video_ids[:20])
