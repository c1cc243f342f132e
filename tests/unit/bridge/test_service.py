"""The story of one request, in virtual time: always a valid page, in time, with a true reason."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from bridge.admission import Admission
from bridge.attempts import AttemptPolicy, Attempts
from bridge.domain.breaker import Breaker, BreakerPolicy, MemoryState, State
from bridge.domain.corrections import Correction, CorrectionKind, Corrections
from bridge.domain.deadline import DeadlinePolicy
from bridge.domain.exploration import NO_NEWCOMERS, Newcomers
from bridge.domain.filters import VideoFacts
from bridge.domain.hedge import HedgePolicy
from bridge.domain.ladder import Skip
from bridge.domain.limiter import AdaptiveLimit, LimitPolicy
from bridge.domain.lists import EVERYBODY, EditorialList, Ladders, TrendingLists, ladders
from bridge.domain.outcome import Outcome
from bridge.domain.overload import Overload, OverloadPolicy
from bridge.domain.retry import Failure, RetryBudget, RetryPolicy
from bridge.domain.trending import Trend
from bridge.explain import Explainer
from bridge.fakes import (
    Act,
    FakeChance,
    FakeClock,
    FixedCorrections,
    FixedLists,
    MemoryDecisions,
    Recorder,
    ScriptedScorer,
)
from bridge.history import NoHistory
from bridge.knowledge import Knowledge, WishPolicy
from bridge.pool import Member, ScorerPool
from bridge.ports import Answer
from bridge.service import RecommendationService, ServicePolicy
from bridge.sessions import Session
from feed.common.v1 import common_pb2
from feed.interactions.v1 import interactions_pb2
from feed.recommendations.v1 import recommendations_pb2 as pb
from feed.scoring.v1 import scoring_pb2
from runtime.errors import InvalidArgumentError

POLICY = ServicePolicy(
    deadline=DeadlinePolicy(),
    token_ttl_s=600,
    token_keys=lambda: [b"k" * 32],
)

RANKED = scoring_pb2.RankResponse(
    video_ids=[f"v{number}" for number in range(50)],
    scores=[50.0 - number for number in range(50)],
    model_version="m1",
    algorithm="lightfm-warp",
    known_user=True,
)
OTHER_MODEL = scoring_pb2.RankResponse(video_ids=["x"], scores=[1.0], model_version="m2", algorithm="lightfm-warp")

TREND = Trend(tuple(f"t{number}" for number in range(30)), tuple(30.0 - number for number in range(30)))
FACTS = {
    video_id: VideoFacts("ann", frozenset({"odd"} if int(video_id[1:]) % 2 else ()), "en", 10.0, 0.0)
    for video_id in TREND.video_ids
}
LADDERS = ladders(
    TrendingLists(0.0, {EVERYBODY: TREND, "GB": Trend(TREND.video_ids[::-1], TREND.scores)}, FACTS),
    EditorialList(tuple(f"e{number}" for number in range(25)), {}),
)

OK = Act(RANKED)


def fails(outcome: Outcome, pushback_s: float | None = None) -> Act:
    return Act(failure=Failure(outcome, pushback_s))


HANGS = Act(RANKED, after_s=10.0)


@dataclass
class Bridge:
    """The service with everything it was made of."""

    service: RecommendationService
    scorers: Sequence[ScriptedScorer]
    pool: ScorerPool
    recorder: Recorder
    clock: FakeClock
    budget: RetryBudget
    waits: "Waits"

    @property
    def state(self) -> State:
        return self.pool.members[0].breaker.state

    async def page(self, caller_remaining_s: float | None = None, **fields: Any) -> pb.GetRecommendationsResponse:
        request = pb.GetRecommendationsRequest(**{"user_id": "u1", **fields})
        return await self.service.get_recommendations(request, caller_remaining_s)


class Waits:
    """The port, with a wait that a test sets."""

    waited_s = 0.0

    def lag_s(self, _now: float) -> float:
        return self.waited_s


def bridge(
    *scripts: Sequence[Act],
    lists: Ladders = LADDERS,
    newcomers: Newcomers = NO_NEWCOMERS,
    policy: ServicePolicy = POLICY,
    max_in_flight: int = 10,
) -> Bridge:
    clock = FakeClock()
    recorder = Recorder()
    scorers = [ScriptedScorer(f"s{number}", clock, acts) for number, acts in enumerate(scripts)]
    pool = ScorerPool([Member(scorer, Breaker(BreakerPolicy(), MemoryState())) for scorer in scorers])
    budget = RetryBudget(now=clock.monotonic())
    asking = AttemptPolicy(policy.deadline, RetryPolicy(), HedgePolicy())
    attempts = Attempts(asking, pool, budget, clock, FakeChance(), recorder)
    waits = Waits()
    limit = AdaptiveLimit(LimitPolicy(minimum=max_in_flight, maximum=max_in_flight), clock.monotonic())
    admission = Admission(Overload(OverloadPolicy()), limit, waits, clock, FakeChance(), recorder)
    knowledge = Knowledge(WishPolicy(candidates=50))
    explainer = Explainer(
        knowledge, pool, {each.target: each for each in scorers}, MemoryDecisions(), clock, FakeChance(), recorder
    )
    fixed = FixedLists(lists, newcomers=newcomers)
    service = RecommendationService(
        policy, knowledge, explainer, attempts, fixed, admission, clock, FakeChance(), recorder
    )
    return Bridge(service, scorers, pool, recorder, clock, budget, waits)


def ids(page: pb.GetRecommendationsResponse) -> list[str]:
    return [item.video_id for item in page.recommendations]


async def test_a_page_of_the_model() -> None:
    made = bridge([OK])
    page = await made.page(page_size=3)
    assert [(item.video_id, item.score, item.position) for item in page.recommendations] == [
        ("v0", 50.0, 1),
        ("v1", 49.0, 2),
        ("v2", 48.0, 3),
    ]
    assert (page.source, page.fallback_reason) == (pb.LIGHTFM, pb.NONE)
    assert (page.algorithm, page.model_version, page.contract_version) == ("lightfm-warp", "m1", "v2025.9")
    assert (page.feed_session_id, page.recommendation_id) == ("id-1", "id-2")
    assert page.attempts == 1
    assert page.budget_left_ms in {149, 150}  # whole milliseconds of a float
    assert page.next_page_token


async def test_twenty_videos_unless_another_number_is_asked_for() -> None:
    made = bridge([OK])
    assert len(ids(await made.page())) == 20
    assert len(ids(await made.page(page_size=50))) == 50


async def test_the_scorer_gets_everything_it_needs() -> None:
    made = bridge([OK])
    filters = common_pb2.VideoFilters(include_tags=["cats"])
    seen = interactions_pb2.Interaction(
        user_id="u1", video_id="v1", interaction_type=interactions_pb2.VIEW, timestamp=Timestamp(seconds=1)
    )
    await made.page(filters=filters, recent_interactions=[seen])
    assert made.scorers[0].requests == [
        scoring_pb2.RankRequest(
            user_id="u1",
            k=70,
            compact=True,
            filters=filters,
            recent_interactions=[seen],
            seed=Session("id-1").seed,
            stages=scoring_pb2.Stages(),
        )
    ]


@pytest.mark.parametrize(
    ("acts", "attempts"),
    [
        pytest.param([fails(Outcome.UNAVAILABLE), OK], 2, id="unavailable-once"),
        pytest.param([fails(Outcome.UNAVAILABLE), fails(Outcome.UNAVAILABLE), OK], 3, id="unavailable-twice"),
        pytest.param([HANGS, OK], 2, id="hung-once"),
        pytest.param([fails(Outcome.PUSHED_BACK, 0.02), OK], 2, id="pushed-back-once"),
    ],
)
async def test_a_retry_hides_a_passing_trouble(acts: list[Act], attempts: int) -> None:
    page = await bridge(acts).page()
    assert (page.source, page.fallback_reason, page.attempts) == (pb.LIGHTFM, pb.NONE, attempts)


@pytest.mark.parametrize(
    ("acts", "reason", "attempts"),
    [
        pytest.param([fails(Outcome.UNAVAILABLE)], pb.UNAVAILABLE, 3, id="dead"),
        pytest.param([HANGS], pb.DEADLINE, 2, id="hung"),
        pytest.param([fails(Outcome.INTERNAL)], pb.UNAVAILABLE, 1, id="crashing"),
        pytest.param([fails(Outcome.REFUSED)], pb.UNAVAILABLE, 1, id="refusing"),
        pytest.param([fails(Outcome.OVERLOADED)], pb.OVERLOAD, 1, id="busy"),
        pytest.param([fails(Outcome.PUSHED_BACK, 5.0)], pb.OVERLOAD, 1, id="pushed-back-beyond-the-deadline"),
        pytest.param([fails(Outcome.MODEL_MISSING)], pb.MODEL_MISSING, 1, id="no-model"),
        pytest.param([fails(Outcome.CONTRACT_MISMATCH)], pb.CONTRACT_MISMATCH, 1, id="another-contract"),
        pytest.param([Act(scoring_pb2.RankResponse())], pb.EMPTY_RANKING, 1, id="unknown-user"),
        pytest.param([Act(error=ZeroDivisionError())], pb.UNAVAILABLE, 1, id="a-bug"),
        pytest.param(
            [Act(scoring_pb2.RankResponse(video_ids=["a"], scores=[float("nan")]))], pb.UNAVAILABLE, 1, id="nonsense"
        ),
    ],
)
async def test_whatever_the_scorer_does_there_is_a_page_with_a_true_reason(
    acts: list[Act], reason: int, attempts: int
) -> None:
    made = bridge(acts)
    page = await made.page()
    assert ids(page) == [f"t{number}" for number in range(20)]
    assert (page.source, page.algorithm, page.model_version) == (pb.TRENDING, "trending", "")
    assert (page.fallback_reason, page.attempts) == (reason, attempts)
    assert page.budget_left_ms > 0
    assert page.next_page_token


async def test_attempts_leave_the_reserve_for_the_fallback() -> None:
    made = bridge([HANGS])
    page = await made.page()
    assert made.scorers[0].timeouts_s == [pytest.approx(0.060), pytest.approx(0.060)]
    assert page.budget_left_ms >= 10


@pytest.mark.parametrize(
    ("caller_remaining_s", "timeouts_s"),
    [
        pytest.param(0.080, [0.060], id="one-attempt-fits"),
        pytest.param(0.050, [0.040], id="a-shorter-one"),
        pytest.param(0.020, [], id="none"),
        pytest.param(10.0, [0.060, 0.060], id="a-patient-caller-changes-nothing"),
    ],
)
async def test_the_callers_deadline_is_kept(caller_remaining_s: float, timeouts_s: list[float]) -> None:
    made = bridge([HANGS])
    page = await made.page(caller_remaining_s)
    assert made.scorers[0].timeouts_s == [pytest.approx(timeout_s) for timeout_s in timeouts_s]
    assert page.budget_left_ms <= caller_remaining_s * 1000
    assert made.recorder.pages[0].budget_left_s > 0
    assert page.fallback_reason == pb.DEADLINE


async def test_another_scorer_is_asked_first() -> None:
    made = bridge([fails(Outcome.UNAVAILABLE)], [fails(Outcome.UNAVAILABLE)])
    await made.page()
    targets = [record.target for record in made.recorder.attempts]
    assert len(targets) == 3
    assert set(targets[:2]) == {"s0", "s1"}


@pytest.mark.parametrize("missing", [Outcome.MODEL_MISSING, Outcome.CONTRACT_MISMATCH])
async def test_a_scorer_that_cannot_answer_is_covered_by_one_that_can(missing: Outcome) -> None:
    made = bridge([fails(missing)], [OK])
    tokens = made.budget.tokens
    pages = [await made.page() for _ in range(10)]
    assert {page.source for page in pages} == {pb.LIGHTFM}
    assert made.budget.tokens == tokens  # refusals cost no retry token


async def test_without_retry_tokens_there_is_no_retry() -> None:
    made = bridge([fails(Outcome.UNAVAILABLE)])
    while made.budget.take():
        pass
    page = await made.page()
    assert (page.fallback_reason, page.attempts) == (pb.RETRY_BUDGET, 1)


async def test_an_open_breaker_spares_the_scorer() -> None:
    made = bridge([fails(Outcome.UNAVAILABLE)])
    while made.state is State.CLOSED:
        await made.page()
    calls = len(made.scorers[0].timeouts_s)
    page = await made.page()
    assert (page.source, page.fallback_reason, page.attempts) == (pb.TRENDING, pb.CIRCUIT_OPEN, 0)
    assert len(made.scorers[0].timeouts_s) == calls == 10


async def test_a_recovered_scorer_is_back_after_the_open_time() -> None:
    made = bridge([*[fails(Outcome.UNAVAILABLE)] * 10, OK])
    while made.state is State.CLOSED:
        await made.page()
    made.clock.now += 1.0
    assert {(await made.page()).source for _ in range(4)} == {pb.LIGHTFM}
    calls = len(made.scorers[0].timeouts_s)
    assert calls == 14  # ten failures, three probes, and a fourth call that only a closed breaker lets through


async def test_beyond_the_limit_of_requests_at_a_time_trending_serves() -> None:
    made = bridge([OK], max_in_flight=0)
    page = await made.page()
    assert (page.source, page.fallback_reason, page.attempts) == (pb.TRENDING, pb.OVERLOAD, 0)
    assert made.service.in_flight == 0


async def test_the_deadline_covers_what_a_request_has_waited_before_it_began() -> None:
    """Design part 4: it spans queueing. After 70 ms of it one whole attempt is left, and too little for another."""
    made = bridge([HANGS])
    made.waits.waited_s = 0.07
    page = await made.page()
    assert (page.source, page.attempts) == (pb.TRENDING, 1)
    assert made.scorers[0].timeouts_s == [pytest.approx(0.06)]
    assert made.recorder.pages[0].elapsed_s == pytest.approx(0.13)


async def test_a_callers_own_deadline_is_not_moved_by_what_it_has_waited() -> None:
    """What the caller has left is counted from now: gRPC has subtracted the wait already."""
    made = bridge([HANGS])
    made.waits.waited_s = 0.02
    await made.page(caller_remaining_s=0.05)
    assert made.scorers[0].timeouts_s == [pytest.approx(0.04)]


async def test_who_has_waited_too_long_for_a_whole_attempt_gets_trending_at_once() -> None:
    made = bridge([OK])
    made.waits.waited_s = 0.09
    page = await made.page()
    assert (page.source, page.fallback_reason, page.attempts) == (pb.TRENDING, pb.OVERLOAD, 0)


async def test_scrolling_repeats_nothing_and_keeps_its_model() -> None:
    made = bridge([OK, Act(OTHER_MODEL)])
    page = await made.page(page_size=25)
    second = await made.page(page_size=25, page_token=page.next_page_token)
    assert ids(page) + ids(second) == list(RANKED.video_ids)
    assert (second.source, second.fallback_reason, second.model_version) == (pb.LIGHTFM, pb.NONE, "m1")
    assert (second.feed_session_id, second.recommendations[0].position) == (page.feed_session_id, 26)
    assert len(made.scorers[0].requests) == 1


async def scrolled(made: Bridge, page_size: int) -> list[pb.GetRecommendationsResponse]:
    """Scrolls to the end; nothing may come twice, and no place may be left out."""
    pages = [await made.page(page_size=page_size)]
    while pages[-1].next_page_token:
        pages.append(await made.page(page_size=page_size, page_token=pages[-1].next_page_token))
    places = [item.position for page in pages for item in page.recommendations]
    assert places == list(range(1, len(places) + 1))
    shown = [video_id for page in pages for video_id in ids(page)]
    assert len(shown) == len(set(shown))
    assert len({page.feed_session_id for page in pages}) == 1
    return pages


async def test_a_session_goes_on_until_the_scorers_and_the_ladder_have_nothing_left() -> None:
    """The scorer always answers the same 50: those that were shown do not come again."""
    made = bridge([OK])
    pages = await scrolled(made, 20)
    assert [(page.source, len(ids(page))) for page in pages] == [
        (pb.LIGHTFM, 20),
        (pb.LIGHTFM, 20),
        (pb.LIGHTFM, 10),
        (pb.TRENDING, 20),
        (pb.TRENDING, 10),
        (pb.EDITORIAL, 20),
        (pb.EDITORIAL, 5),
    ]
    assert {video_id for page in pages for video_id in ids(page)} == {
        *RANKED.video_ids,
        *TREND.video_ids,
        *(f"e{number}" for number in range(25)),
    }


async def test_a_session_that_goes_on_asks_for_what_it_has_not_shown() -> None:
    made = bridge([OK])
    await scrolled(made, 25)
    assert [request.k for request in made.scorers[0].requests[:3]] == [75, 125, 150]
    seeds = [request.seed for request in made.scorers[0].requests]
    assert len(set(seeds)) == len(seeds)


async def test_a_new_model_goes_on_where_the_ranking_of_the_old_one_has_run_out() -> None:
    other = scoring_pb2.RankResponse(
        video_ids=[f"v{number}" for number in range(30, 80)],
        scores=[50.0 - number for number in range(50)],
        model_version="m2",
        algorithm="lightfm-warp",
    )
    pages = await scrolled(bridge([OK, Act(other)]), 20)
    assert [page.model_version for page in pages[:4]] == ["m1", "m1", "m2", "m2"]
    assert ids(pages[2]) == [f"v{number}" for number in range(40, 60)]


async def test_what_is_left_of_a_ranking_is_served_when_what_follows_has_less() -> None:
    pages = await scrolled(bridge([OK, Act(OTHER_MODEL)]), 20)
    assert ids(pages[2]) == [f"v{number}" for number in range(40, 50)]
    assert (pages[2].source, pages[2].model_version) == (pb.LIGHTFM, "m1")
    assert ids(pages[3]) == ["x"]


async def test_a_fallback_feed_stays_a_fallback_feed_while_it_lasts() -> None:
    made = bridge([*[fails(Outcome.UNAVAILABLE)] * 3, OK])
    first = await made.page(page_size=10)
    second = await made.page(page_size=10, page_token=first.next_page_token)
    assert (second.source, second.fallback_reason, second.algorithm) == (pb.TRENDING, pb.UNAVAILABLE, "trending")
    assert ids(first) + ids(second) == [f"t{number}" for number in range(20)]


async def test_the_same_session_has_the_same_seed_and_another_one_another() -> None:
    made = bridge([OK])
    for session in ("s1", "s1", "s2"):
        await made.page(feed_session_id=session)
    first, again, other = (request.seed for request in made.scorers[0].requests)
    assert first == again != other


async def test_a_token_may_be_used_twice() -> None:
    made = bridge([OK])
    token = (await made.page()).next_page_token
    assert ids(await made.page(page_token=token)) == ids(await made.page(page_token=token))


def interaction(video_id: str) -> interactions_pb2.Interaction:
    return interactions_pb2.Interaction(user_id="u1", video_id=video_id, interaction_type=interactions_pb2.VIEW)


@pytest.mark.parametrize("acts", [[OK], [fails(Outcome.UNAVAILABLE)]], ids=["model", "fallback"])
async def test_what_was_just_seen_or_is_excluded_does_not_come(acts: list[Act]) -> None:
    made = bridge(acts)
    barred = {"v0", "v3", "t0", "t3"}
    filters = common_pb2.VideoFilters(exclude_video_ids=["v0", "t0"])
    page = await made.page(filters=filters, recent_interactions=[interaction("v3"), interaction("t3")])
    assert len(ids(page)) == 20
    assert not barred & set(ids(page))


async def test_what_was_seen_since_does_not_come_on_the_next_page() -> None:
    made = bridge([OK])
    token = (await made.page()).next_page_token
    page = await made.page(page_token=token, recent_interactions=[interaction("v21")])
    assert ids(page)[:3] == ["v20", "v22", "v23"]
    assert [item.position for item in page.recommendations] == list(range(21, 41))


async def test_a_model_that_knows_only_what_was_seen_falls_back() -> None:
    made = bridge([Act(scoring_pb2.RankResponse(video_ids=["a"], scores=[1.0]))])
    page = await made.page(recent_interactions=[interaction("a")])
    assert (page.source, page.fallback_reason) == (pb.TRENDING, pb.EMPTY_RANKING)


async def test_filters_hold_on_the_ladder() -> None:
    made = bridge([fails(Outcome.UNAVAILABLE)])
    page = await made.page(page_size=10, filters=common_pb2.VideoFilters(include_tags=["odd"]))
    assert ids(page) == [f"t{number}" for number in range(1, 20, 2)]


async def test_a_filter_that_nothing_meets_gives_an_empty_page_not_a_wrong_one() -> None:
    made = bridge([fails(Outcome.UNAVAILABLE)])
    page = await made.page(filters=common_pb2.VideoFilters(languages=["xx"]))
    assert (ids(page), page.next_page_token) == ([], "")
    assert page.fallback_reason == pb.UNAVAILABLE


async def test_the_country_has_its_own_trend() -> None:
    made = bridge([fails(Outcome.UNAVAILABLE)])
    page = await made.page(page_size=1, context=pb.RequestContext(country="GB"))
    assert ids(page) == ["t29"]
    assert made.recorder.pages[0].rung == "trending_country"


async def test_without_trending_the_editorial_list_serves() -> None:
    made = bridge([fails(Outcome.UNAVAILABLE)], lists=ladders(None, EditorialList(("e1", "e2"), {})))
    page = await made.page(page_size=2)
    assert (ids(page), page.source, page.algorithm) == (["e1", "e2"], pb.EDITORIAL, "editorial")
    assert made.recorder.pages[0].skipped == (("trending_global", Skip.EMPTY),)


@pytest.mark.parametrize(
    ("second", "text"),
    [
        pytest.param({"user_id": "u2"}, "another user", id="of-another-user"),
        pytest.param({"feed_session_id": "mine"}, "another feed session", id="of-another-session"),
        pytest.param({"filters": common_pb2.VideoFilters(languages=["de"])}, "other filters", id="with-other-filters"),
        pytest.param({"page_token": "forged"}, "not a page token", id="forged"),
    ],
)
async def test_a_token_that_is_not_this_requests_is_refused_with_its_reason(second: dict[str, Any], text: str) -> None:
    made = bridge([OK])
    token = (await made.page()).next_page_token
    with pytest.raises(InvalidArgumentError) as caught:
        await made.page(**{"page_token": token, **second})
    (violation,) = caught.value.violations
    assert violation.field == "pageToken"
    assert text in violation.reason
    assert made.service.in_flight == 0


async def test_an_expired_token_is_refused() -> None:
    made = bridge([OK])
    token = (await made.page()).next_page_token
    made.clock.now += 600
    with pytest.raises(InvalidArgumentError, match="has expired"):
        await made.page(page_token=token)


async def test_the_same_filters_in_another_order_are_the_same() -> None:
    made = bridge([OK])
    first = await made.page(filters=common_pb2.VideoFilters(languages=["de", "en"]))
    second = await made.page(page_token=first.next_page_token, filters=common_pb2.VideoFilters(languages=["en", "de"]))
    assert len(ids(second)) == 20


async def test_the_clients_own_session_is_kept() -> None:
    made = bridge([OK])
    first = await made.page(feed_session_id="mine")
    second = await made.page(feed_session_id="mine", page_token=first.next_page_token)
    assert (first.feed_session_id, second.feed_session_id) == ("mine", "mine")


async def test_explained_items_say_what_chose_them() -> None:
    page = await bridge([OK]).page(page_size=1, explain=True)
    (reason,) = page.recommendations[0].reasons
    assert (reason.component, reason.value) == ("lightfm-warp", 50.0)
    assert not (await bridge([OK]).page()).recommendations[0].reasons


async def test_a_page_and_its_attempts_are_told_once() -> None:
    made = bridge([fails(Outcome.UNAVAILABLE), OK])
    page = await made.page()
    (record,) = made.recorder.pages
    assert record.response is page
    assert (record.user_id, record.attempts, record.continued) == ("u1", 2, False)
    assert [(each.attempt, each.outcome) for each in made.recorder.attempts] == [
        (1, Outcome.UNAVAILABLE),
        (2, Outcome.OK),
    ]
    assert record.elapsed_s + record.budget_left_s == pytest.approx(0.150)


async def test_what_the_time_went_into_is_told() -> None:
    """Issue 4, item 8: the budget spent by stage; in virtual time only scorers and backoffs take any."""
    made = bridge([HANGS])
    await made.page()
    (record,) = made.recorder.pages
    stages = record.stages
    assert stages.scorer == pytest.approx(sum(made.scorers[0].timeouts_s))
    assert stages.backoff > 0
    assert stages.scorer + stages.backoff == pytest.approx(record.elapsed_s)
    assert (stages.queue, stages.fallback, stages.answer) == (0, 0, 0)


class Endless(ScriptedScorer):
    """A scorer that never answers and lets no time pass."""

    async def rank(self, request: scoring_pb2.RankRequest, timeout_s: float) -> Answer:
        self.requests.append(request)
        self.timeouts_s.append(timeout_s)
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_caller_that_leaves_is_no_news_of_the_scorer() -> None:
    made = bridge([OK])
    made.pool.members[0].scorer = Endless("s0", made.clock, [OK])
    for _ in range(30):
        asking = asyncio.create_task(made.page())
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    assert {record.outcome for record in made.recorder.attempts} == {Outcome.CANCELLED}
    assert made.state is State.CLOSED
    assert (made.service.in_flight, made.pool.members[0].in_flight) == (0, 0)


class FixedHistory(NoHistory):
    """The port `History`: always the same."""

    def __init__(self, *video_ids: str) -> None:
        self.seen = frozenset(video_ids)
        self.told: list[tuple[str, list[str]]] = []

    async def whole(self, user_id: str, left_s: float) -> frozenset[str]:
        del user_id, left_s
        return self.seen

    def beyond_model(self, user_id: str) -> str:
        del user_id
        return "\n".join(sorted(self.seen))

    def served(self, user_id: str, video_ids: Sequence[str]) -> None:
        self.told.append((user_id, list(video_ids)))


class ColdHistory(FixedHistory):
    """The same, not in memory before a scorer has answered."""

    def __init__(self, *video_ids: str) -> None:
        super().__init__(*video_ids)
        self.known = False

    def begin(self, user_id: str) -> bool:
        del user_id
        return self.known

    async def of(self, user_id: str, left_s: float) -> frozenset[str]:
        self.known = True
        return await self.whole(user_id, left_s)

    def beyond_model(self, user_id: str) -> str:
        return super().beyond_model(user_id) if self.known else ""


def remembering(history: FixedHistory, *acts: Act) -> Bridge:
    made = bridge(acts)
    made.service._knowledge = Knowledge(WishPolicy(candidates=50), history=history)
    return made


async def test_what_was_seen_is_told_to_the_scorer_and_what_is_served_is_remembered() -> None:
    history = FixedHistory("v8", "v9")
    made = remembering(history, OK)
    page = await made.page(page_size=2)
    assert made.scorers[0].requests[0].compact_exclude_video_ids == "v8\nv9"
    assert history.told == [("u1", ids(page))]


async def test_what_is_read_while_a_scorer_ranks_is_taken_out_of_its_answer() -> None:
    made = remembering(ColdHistory("v0", "v2"), OK)
    page = await made.page(page_size=3)
    assert ids(page) == ["v1", "v3", "v4"]
    assert [(asked.compact_exclude_video_ids, asked.k) for asked in made.scorers[0].requests] == [("", 103)]


async def test_a_scorer_is_asked_again_when_too_little_is_left_of_its_answer() -> None:
    first = Act(scoring_pb2.RankResponse(video_ids=["v0", "v1", "v2"], scores=[3, 2, 1], known_user=True))
    made = remembering(ColdHistory("v0", "v2"), first, OK)
    page = await made.page(page_size=3)
    assert len(made.scorers[0].requests) == 2
    assert made.scorers[0].requests[-1].compact_exclude_video_ids == "v0\nv2"
    assert len(ids(page)) == 3


async def test_what_was_seen_does_not_come_back_on_the_ladder() -> None:
    made = remembering(FixedHistory("t0", "t2"), fails(Outcome.UNAVAILABLE))
    assert ids(await made.page(page_size=3)) == ["t1", "t3", "t4"]


async def test_for_whom_nothing_is_left_a_new_feed_starts_over() -> None:
    made = remembering(FixedHistory("v1"), Act(scoring_pb2.RankResponse(known_user=True)), OK)
    page = await made.page(page_size=3)
    assert (page.source, ids(page)) == (pb.LIGHTFM, ["v0", "v1", "v2"])
    assert len(made.scorers[0].requests) == 2


async def test_a_page_that_was_ranked_before_an_author_was_blocked_is_ranked_anew() -> None:
    corrector = FixedCorrections()
    made = bridge([OK])
    made.service._knowledge = Knowledge(WishPolicy(candidates=50), corrector=corrector)
    first = await made.page(page_size=3)
    second = await made.page(page_size=3, page_token=first.next_page_token)
    assert len(made.scorers[0].requests) == 1

    corrector.corrections = Corrections((Correction(CorrectionKind.BLOCK, author_id="ann"),))
    third = await made.page(page_size=3, page_token=second.next_page_token)
    assert len(made.scorers[0].requests) == 2
    fourth = await made.page(page_size=3, page_token=third.next_page_token)
    assert len(made.scorers[0].requests) == 2, "it was ranked after"
    shown = [*ids(first), *ids(second), *ids(third), *ids(fourth)]
    assert len(set(shown)) == 12


class FixedStrangers:
    """The port `Strangers`: what is known of everybody, once it was read."""

    def __init__(self, *words: str) -> None:
        self.words = words
        self.kept: Sequence[str] | None = None
        self.asked: list[tuple[str, str, str]] = []

    def known(self, user_id: str) -> Sequence[str] | None:
        del user_id
        return self.kept

    async def read(self, user_id: str, locale: str, country: str, left_s: float) -> Sequence[str]:
        assert 0 < left_s < 0.15
        self.asked.append((user_id, locale, country))
        self.kept = self.words
        return self.words


STRANGE = Act(scoring_pb2.RankResponse())
BY_FEATURES = Act(scoring_pb2.RankResponse(video_ids=["v0", "v1", "v2", "v3"], scores=[4, 3, 2, 1]))


def meeting(strangers: FixedStrangers, *acts: Act) -> Bridge:
    made = bridge(acts)
    made.service._knowledge = Knowledge(WishPolicy(candidates=50), strangers=strangers)
    return made


async def test_a_stranger_is_asked_for_again_by_what_else_is_known() -> None:
    strangers = FixedStrangers("country=AT", "age=old")
    made = meeting(strangers, STRANGE, BY_FEATURES)
    page = await made.page(page_size=2, context=pb.RequestContext(locale="de-AT", country="AT"))
    assert (page.source, ids(page)) == (pb.LIGHTFM, ["v0", "v1"])
    assert len(made.scorers[0].requests) == 2
    assert list(made.scorers[0].requests[-1].user_features) == ["country=AT", "age=old"]
    assert strangers.asked == [("u1", "de-AT", "AT")]
    await made.page(page_size=2)
    assert list(made.scorers[0].requests[-1].user_features) == ["country=AT", "age=old"]
    assert len(made.scorers[0].requests) == 3
    assert len(strangers.asked) == 1


async def test_a_stranger_of_whom_nothing_is_known_gets_what_trends_and_is_not_asked_for_again() -> None:
    strangers = FixedStrangers()
    made = meeting(strangers, STRANGE)
    for _ in range(2):
        page = await made.page(page_size=2)
        assert (page.source, page.fallback_reason) == (pb.TRENDING, pb.EMPTY_RANKING)
    assert len(made.scorers[0].requests) == 2
    assert len(strangers.asked) == 1


async def test_of_users_whom_the_model_knows_nothing_is_read() -> None:
    strangers = FixedStrangers("country=AT")
    made = meeting(strangers, OK)
    assert (await made.page()).source == pb.LIGHTFM
    assert strangers.asked == []


async def test_a_whole_page_of_the_ladder_is_better_than_what_little_is_left() -> None:
    few = Act(scoring_pb2.RankResponse(video_ids=["v0"], scores=[1.0], known_user=True))
    made = remembering(FixedHistory("v1"), few, fails(Outcome.UNAVAILABLE))
    page = await made.page(page_size=3)
    assert (page.source, page.fallback_reason, len(ids(page))) == (pb.TRENDING, pb.UNAVAILABLE, 3)


async def test_a_stranger_is_not_asked_for_twice() -> None:
    made = remembering(FixedHistory("t1"), Act(scoring_pb2.RankResponse()), OK)
    page = await made.page(page_size=2)
    assert (page.fallback_reason, ids(page)) == (pb.EMPTY_RANKING, ["t0", "t2"])
    assert len(made.scorers[0].requests) == 1


async def test_a_feed_of_what_was_seen_is_better_than_none() -> None:
    everything = (*TREND.video_ids, *(f"e{number}" for number in range(25)))
    made = remembering(FixedHistory(*everything), fails(Outcome.UNAVAILABLE))
    page = await made.page(page_size=3)
    assert ids(page) == ["t0", "t1", "t2"]


async def test_a_session_ends_rather_than_starting_over() -> None:
    everything = (*TREND.video_ids, *(f"e{number}" for number in range(25)))
    made = remembering(FixedHistory(*everything), OK, Act(scoring_pb2.RankResponse()))
    pages = await scrolled(made, 25)
    assert [len(ids(page)) for page in pages] == [25, 25, 0]
