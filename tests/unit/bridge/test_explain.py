"""Why a video is on a page: the parts add up to its score, and people get a few words."""

from dataclasses import replace
from typing import Any

import pytest

from bridge.domain.explanation import NEW, SINCE_RANKED, STAGES, Decision, Explanation, adding_up, in_words
from bridge.domain.exploration import Newcomers
from bridge.domain.ladder import RungName
from bridge.domain.outcome import Outcome, Source
from bridge.explain import Explainer
from bridge.fakes import Act, FakeChance, MemoryDecisions
from bridge.knowledge import Knowledge, WishPolicy
from feed.recommendations.v1 import recommendations_pb2 as pb
from feed.scoring.v1 import scoring_pb2
from runtime.errors import NotFoundError, UnavailableError
from tests.unit.bridge.test_service import OK, POLICY, Bridge, bridge, fails, ids


def told(video_id: str, *because: str, removed_by: str = "", **parts: float) -> scoring_pb2.Explanation:
    return scoring_pb2.Explanation(
        video_id=video_id,
        score=sum(parts.values()),
        parts=[scoring_pb2.ScorePart(name=name, value=value) for name, value in parts.items()],
        because_video_ids=because,
        removed_by=removed_by,
        known_video=True,
    )


def parts_of(item: pb.Recommendation | pb.ExplainRecommendationResponse) -> dict[str, float]:
    return {reason.component: reason.value for reason in item.reasons}


def explaining(*explanations: scoring_pb2.Explanation) -> Bridge:
    made = bridge([OK])
    made.scorers[0].explanations = {each.video_id: each for each in explanations}
    return made


async def test_a_page_says_why_each_of_its_videos_is_there() -> None:
    made = explaining(told("v0", "v7", user_item=40.0, prior=10.0), told("v1", user_item=9.0, prior=38.0))
    page = await made.page(page_size=3, explain=True)
    first, second, third = page.recommendations
    assert (parts_of(first), first.explanation) == ({"user_item": 40.0, "prior": 10.0}, "because you watched v7")
    assert parts_of(second) == {"user_item": 9.0, "prior": 38.0, STAGES: 2.0}
    assert second.explanation == "popular now"
    assert (parts_of(third), third.explanation) == ({"lightfm-warp": 48.0}, "like other videos that you watch")


async def test_the_parts_add_up_to_the_score_on_every_page() -> None:
    made = explaining(*(told(f"v{number}", user_item=1.0, prior=2.0) for number in range(50)))
    page = await made.page(page_size=10, explain=True)
    page = await made.page(page_size=10, explain=True, page_token=page.next_page_token)
    assert ids(page) == [f"v{number}" for number in range(10, 20)]
    for item in page.recommendations:
        assert sum(parts_of(item).values()) == pytest.approx(item.score)


async def test_nobody_is_asked_for_reasons_that_nobody_wants() -> None:
    made = explaining()
    page = await made.page()
    assert not page.recommendations[0].reasons
    assert not page.recommendations[0].explanation
    assert len(made.scorers[0].timeouts_s) == 1


async def test_a_scorer_that_cannot_say_costs_the_reasons_not_the_page() -> None:
    page = await bridge([OK]).page(page_size=2, explain=True)
    assert [parts_of(item) for item in page.recommendations] == [{"lightfm-warp": 50.0}, {"lightfm-warp": 49.0}]


async def test_a_fallback_page_says_what_it_is() -> None:
    made = bridge([fails(Outcome.UNAVAILABLE)])
    page = await made.page(page_size=1, explain=True, context=pb.RequestContext(country="GB"))
    assert page.recommendations[0].explanation == "trending in your country"
    assert parts_of(page.recommendations[0]) == {"trending": 30.0}


async def test_a_new_video_says_that_its_place_was_kept_for_one() -> None:
    """Its score on the ladder is that of its place, not its own."""
    policy, new = replace(POLICY, exploration=0.5), Newcomers(("n0", "n1", "n2"))
    page = await bridge([fails(Outcome.UNAVAILABLE)], newcomers=new, policy=policy).page(page_size=30, explain=True)
    found = {item.video_id: item for item in page.recommendations}
    for video_id in {*new.video_ids} & {*found}:
        assert (parts_of(found[video_id]), found[video_id].explanation) == ({STAGES: found[video_id].score}, NEW)
    assert {*new.video_ids} & {*found}
    assert found["t0"].explanation == "trending now"


async def test_a_new_video_of_the_model_keeps_the_parts_of_its_score() -> None:
    ranked = scoring_pb2.RankResponse(video_ids=["v0", "v1"], scores=[3.0, 2.0], explored=[1], propensities=[0.25])
    made = bridge([Act(ranked)])
    made.scorers[0].explanations = {"v1": told("v1", "v7", user_item=0.5)}
    page = await made.page(page_size=2, explain=True)
    assert parts_of(page.recommendations[1]) == {"user_item": 0.5, SINCE_RANKED: 1.5}
    assert page.recommendations[1].explanation == NEW


def explainer(made: Bridge, decisions: MemoryDecisions) -> Explainer:
    calls = {each.target: each for each in made.scorers}
    return Explainer(Knowledge(WishPolicy()), made.pool, calls, decisions, made.clock, FakeChance(), made.recorder)


def asked(**fields: Any) -> pb.ExplainRecommendationRequest:
    return pb.ExplainRecommendationRequest(**{"user_id": "u1", "video_id": "v1", **fields})


async def test_a_video_is_explained_as_it_would_be_scored_now() -> None:
    made = explaining(told("v1", "v3", removed_by="seen", user_item=2.0, prior=1.0))
    answer = await explainer(made, MemoryDecisions()).explain(asked())
    assert (answer.score, parts_of(answer)) == (3.0, {"user_item": 2.0, "prior": 1.0})
    assert (answer.explanation, answer.removed_by) == ("because you watched v3", "seen")
    assert (answer.source, answer.algorithm, answer.model_version) == (pb.LIGHTFM, "lightfm-warp", "m1")


DECIDED = Decision(4, 3.5, {"user_item": 3.0, "prior": 0.5}, Source.LIGHTFM, "lightfm-warp", "m0", {"seen": 7})


async def test_a_video_of_a_page_is_explained_by_what_was_written_down() -> None:
    made = explaining(told("v1", "v3", user_item=9.0))
    answer = await explainer(made, MemoryDecisions({("r1", "u1", "v1"): DECIDED})).explain(
        asked(recommendation_id="r1")
    )
    assert (answer.score, answer.position, answer.model_version) == (3.5, 4, "m0")
    assert parts_of(answer) == {"user_item": 3.0, "prior": 0.5}
    assert dict(answer.removed) == {"seen": 7}


async def test_a_later_page_is_explained_by_the_model_and_what_has_changed_since() -> None:
    """The parts of later pages are not written down; a model that is not the page's leaves a part of its own."""
    made = explaining(told("v1", user_item=2.0))
    decided = Decision(24, 3.5, {}, Source.LIGHTFM, "lightfm-warp", "m0", {})
    answer = await explainer(made, MemoryDecisions({("r1", "u1", "v1"): decided})).explain(
        asked(recommendation_id="r1")
    )
    assert parts_of(answer) == {"user_item": 2.0, SINCE_RANKED: 1.5}


async def test_a_fallback_page_is_explained_without_a_scorer() -> None:
    decided = Decision(1, 12.0, {}, Source.TRENDING, "trending", "", {})
    made = bridge([fails(Outcome.UNAVAILABLE)])
    answer = await explainer(made, MemoryDecisions({("r1", "u1", "v1"): decided})).explain(
        asked(recommendation_id="r1")
    )
    assert (answer.source, parts_of(answer), answer.explanation) == (pb.TRENDING, {"trending": 12.0}, "trending now")
    assert not made.scorers[0].timeouts_s


async def test_a_new_video_of_a_fallback_page_is_explained_as_one_afterwards() -> None:
    decided = Decision(1, 12.0, {}, Source.TRENDING, "trending", "", {}, new=True)
    decisions = MemoryDecisions({("r1", "u1", "v1"): decided})
    answer = await explainer(bridge([fails(Outcome.UNAVAILABLE)]), decisions).explain(asked(recommendation_id="r1"))
    assert (answer.source, parts_of(answer), answer.explanation) == (pb.TRENDING, {STAGES: 12.0}, NEW)


@pytest.mark.parametrize("fields", [{"user_id": "u2"}, {"video_id": "v2"}, {"recommendation_id": "r2"}])
async def test_a_page_that_is_not_known_is_not_found(fields: dict[str, str]) -> None:
    decisions = MemoryDecisions({("r1", "u1", "v1"): DECIDED})
    with pytest.raises(NotFoundError, match="recommendationId"):
        await explainer(bridge([OK]), decisions).explain(asked(**{"recommendation_id": "r1", **fields}))


async def test_a_database_that_is_down_is_said() -> None:
    decisions = MemoryDecisions()
    decisions.broken = True
    with pytest.raises(UnavailableError):
        await explainer(bridge([OK]), decisions).explain(asked(recommendation_id="r1"))


async def test_without_a_scorer_nothing_can_be_said_of_now() -> None:
    with pytest.raises(UnavailableError):
        await explainer(bridge([OK]), MemoryDecisions()).explain(asked())


async def test_a_video_that_the_model_does_not_know_is_not_found() -> None:
    with pytest.raises(NotFoundError, match="videoId"):
        await explainer(explaining(), MemoryDecisions()).explain(asked())


def test_what_is_missing_to_the_score_is_a_part_of_its_own() -> None:
    assert adding_up({"a": 1.0, "b": 2.0}, 3.00001, STAGES) == {"a": 1.0, "b": 2.0}
    assert adding_up({"a": 1.0, STAGES: -0.5}, 2.0, STAGES) == {"a": 1.0, STAGES: 1.0}


@pytest.mark.parametrize(
    ("source", "rung", "explanation", "expected"),
    [
        (Source.LIGHTFM, "", Explanation({"user_item": 1.0, "prior": 2.0}), "popular now"),
        (Source.LIGHTFM, "", Explanation({"user_item": 3.0, "prior": 2.0}), "like other videos that you watch"),
        (Source.LIGHTFM, "", Explanation({"prior": 2.0}, ["v1", "v2"]), "because you watched v1"),
        (Source.LIGHTFM, "", None, "like other videos that you watch"),
        (Source.PRECOMPUTED, RungName.PRECOMPUTED, None, "picked for you"),
        (Source.TRENDING, RungName.TRENDING_LANGUAGE, None, "trending in your language"),
        (Source.TRENDING, "", None, "trending now"),
        (Source.EDITORIAL, RungName.EDITORIAL, None, "chosen by our editors"),
    ],
)
def test_people_get_a_few_words(source: Source, rung: str, explanation: Explanation | None, expected: str) -> None:
    assert in_words(source, rung, explanation) == expected
