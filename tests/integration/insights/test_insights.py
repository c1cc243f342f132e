"""The process over gRPC and REST, on SQLite and PostgreSQL."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from google.protobuf.timestamp_pb2 import Timestamp

from feed.insights.v1 import outcomes_pb2 as pb
from feed.insights.v1.outcomes_pb2_grpc import OutcomeServiceStub
from interactions.domain.event import InteractionType
from runtime.process import Service
from storage.database import Database
from tests.http import Answer, call
from tests.integration.insights.books import Books, event, page, token
from tests.polling import until

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
async def books(database: Database, running: Service) -> Books:
    """What the process follows, once it has begun."""

    async def ready() -> int:
        return (await call(running.http_port, "GET", "/readyz")).status

    await until(ready, 200)
    return Books(database)


@pytest.fixture
async def outcomes(running: Service) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{running.grpc_port}") as channel:
        yield OutcomeServiceStub(channel)


async def post(running: Service, payload: Any) -> Answer:
    headers = {"content-type": "application/json"}
    return await call(running.http_port, "POST", "/feed/outcomes", json.dumps(payload).encode(), headers)


async def get(running: Service, path: str) -> Any:
    answer = await call(running.http_port, "GET", path)
    assert answer.status == 200, answer.text
    return answer.json


def served(books: Books, count: int) -> Any:
    async def of_now() -> int:
        return (await books.state()).served

    return until(of_now, count)


async def test_what_was_served_and_done_is_answered_alike_by_both_doors(running: Service, books: Books, outcomes: Any):
    await books.serve(page("r1", time=NOW), page("r2", time=NOW, userId="u2", algorithm="trending", source="TRENDING"))
    await books.act(event(InteractionType.LIKE, NOW, served_token=token()))
    await served(books, 4)
    await outcomes.TrackOutcome(
        pb.TrackOutcomeRequest(recommendation_log_id="r1", video_id="v2", action=pb.RATED, user_rating=7)
    )

    async def rate() -> tuple[int, int]:
        found = await outcomes.GetAcceptanceRate(pb.GetAcceptanceRateRequest())
        return found.served, found.accepted

    await until(rate, (4, 2))
    assert await get(running, "/feed/acceptance-rate") == {"served": "4", "accepted": "2", "rate": 0.5}
    assert await get(running, "/feed/acceptance-rate?userId=u2") == {"served": "2", "accepted": "0", "rate": 0.0}
    of_user = await outcomes.GetAcceptanceRate(pb.GetAcceptanceRateRequest(user_id="u1", algorithm="lightfm-warp"))
    assert (of_user.served, of_user.accepted, of_user.rate) == (2, 2, 1.0)
    performance = await outcomes.GetAlgorithmPerformance(pb.GetAlgorithmPerformanceRequest())
    first, second = performance.algorithms
    assert (first.algorithm, first.served, first.consumed, first.added, first.rated, first.acceptance_rate) == (
        ("lightfm-warp", 2, 2, 1, 1, 1.0)
    )
    assert (second.algorithm, second.served, second.acceptance_rate) == ("trending", 2, 0.0)
    told = await get(running, "/feed/algorithm-performance")
    assert [each["algorithm"] for each in told["algorithms"]] == ["lightfm-warp", "trending"]
    assert told["algorithms"][0]["acceptanceRate"] == 1.0


async def test_funnel_and_trends_are_answered_alike_by_both_doors(running: Service, books: Books, outcomes: Any):
    today, earlier = NOW, NOW - timedelta(days=2)
    await books.serve(page("r1", time=today), page("r2", time=earlier, algorithm="trending", source="TRENDING"))
    await books.act(event(InteractionType.VIEW, NOW, watch_time=3.0))
    await served(books, 4)

    async def funnel() -> tuple[int, int, float, int]:
        found = (await outcomes.GetFunnel(pb.GetFunnelRequest(split_by=pb.SOURCE))).total
        return found.pages, found.consumed, found.watch_time_per_page_s, found.pending

    # The window of the earlier page is over; of today's, nothing was done with one video yet.
    await until(funnel, (2, 1, 1.5, 1))
    told = await get(running, "/feed/funnel?splitBy=SOURCE")
    assert [(part["name"], part["funnel"]["served"]) for part in told["parts"]] == [("LIGHTFM", "2"), ("TRENDING", "2")]
    assert [told["total"]["successRate"], *(part["funnel"]["successRate"] for part in told["parts"])] == [
        1 / 3,
        1.0,
        0.0,
    ]
    since = (NOW - timedelta(days=3)).isoformat().replace("+00:00", "Z")
    days = await outcomes.GetTrends(pb.GetTrendsRequest(algorithm="trending", since=at(NOW - timedelta(days=3))))
    (trend,) = days.trends
    assert [each.funnel.served for each in trend.days] == [0, 2, 0, 0]
    (told,) = (await get(running, f"/feed/trends?algorithm=trending&since={since}"))["trends"]
    assert [(each["day"], each["funnel"]["served"]) for each in told["days"]] == [
        (each.day, str(each.funnel.served)) for each in trend.days
    ]
    assert ["successRate" in each["funnel"] for each in told["days"]] == [False, True, False, False]


async def test_only_the_largest_parts_have_trends(running: Service, books: Books):
    pages = [page(f"r{nth}", ["v1"] if nth else ["v1", "v2"], NOW, modelVersion=f"m{nth:02}") for nth in range(23)]
    await books.serve(*pages)
    await served(books, 24)
    told = await get(running, "/feed/trends?splitBy=MODEL_VERSION")
    assert ([trend["name"] for trend in told["trends"]], told["leftOut"]) == ([f"m{nth:02}" for nth in range(20)], 3)


def at(time: datetime) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(time)
    return made


async def test_only_what_was_served_since_a_day_counts(running: Service, books: Books, outcomes: Any):
    await books.serve(page("r1", time=NOW), page("r2", time=NOW - timedelta(days=40)))
    await served(books, 4)
    found = await outcomes.GetAcceptanceRate(pb.GetAcceptanceRateRequest(since=at(NOW - timedelta(days=41))))
    told = await get(running, "/feed/acceptance-rate")
    tomorrow = (NOW + timedelta(days=1)).isoformat().replace("+00:00", "Z")
    none = await get(running, f"/feed/algorithm-performance?since={tomorrow}")
    assert (found.served, told["served"], none) == (4, "2", {"algorithms": []})


async def test_an_outcome_is_created_once(running: Service, books: Books):
    await books.serve(page("r1", time=NOW))
    await served(books, 2)
    liked = {"recommendationLogId": "r1", "videoId": "v1", "action": "LIKED"}
    answers = [await post(running, liked) for _ in range(2)]
    assert [(answer.status, answer.json) for answer in answers] == [(200, {"created": True}), (200, {"created": False})]

    async def outcome() -> str:
        return (await books.outcomes())["r1", 1]

    await until(outcome, "liked")


ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
REQUIRED = "must be 1 to 128 characters of A-Z a-z 0-9 _ . : -"


@ON_SQLITE
@pytest.mark.parametrize(
    ("payload", "status", "field", "reason"),
    [
        ({"videoId": "v1", "action": "LIKED"}, 422, "recommendationLogId", REQUIRED),
        ({"recommendationLogId": "r1", "videoId": "v1", "action": "WAVED"}, 422, "action", "must be one of CONSUMED, "),
        (
            {"recommendationLogId": "r1", "videoId": "v1", "action": "LIKED", "userRating": 3},
            422,
            "userRating",
            "only with RATED",
        ),
        (
            {"recommendationLogId": "r1", "videoId": "v1", "action": "RATED", "userRating": 11},
            422,
            "userRating",
            "must be greater than or equal to 0 and less than or equal to 10",
        ),
        ({"recommendationLogId": 1}, 400, "body", "Expected `str | null`, got `int`"),
        ({"recommendationLogID": "r1"}, 400, "body", "Object contains unknown field `recommendationLogID`"),
    ],
)
async def test_a_wrong_outcome_is_refused_by_field(
    running: Service, payload: Any, status: int, field: str, reason: str
):
    answer = await post(running, payload)
    (violation,) = answer.json["violations"]
    assert (answer.status, violation["field"]) == (status, field)
    assert violation["reason"].startswith(reason)


@ON_SQLITE
@pytest.mark.parametrize(
    ("question", "field"),
    [
        ("acceptance-rate?user=u1", "user"),
        ("acceptance-rate?since=yesterday", "since"),
        ("acceptance-rate?since=2025-09-01T12:00:00", "since"),
        ("acceptance-rate?userId=a%20b", "userId"),
        ("acceptance-rate?algorithm=a%00", "algorithm"),
        ("acceptance-rate?since=1969-12-31T23:59:59Z", "since"),
        ("funnel?splitBy=MOOD", "splitBy"),
        ("funnel?algorithm=a%00", "algorithm"),
        ("funnel?until=1969-12-31T23:59:59Z", "until"),
        ("trends?since=2025-09-02T00:00:00Z&until=2025-09-01T00:00:00Z", "since"),
        ("trends?since=2025-06-03T00:00:00Z&until=2025-09-01T00:00:00Z", "since"),
    ],
)
async def test_a_wrong_question_is_refused_by_field(running: Service, question: str, field: str):
    answer = await call(running.http_port, "GET", f"/feed/{question}")
    assert (answer.status, [each["field"] for each in answer.json["violations"]]) == (400, [field])


async def test_a_video_that_was_not_on_the_page_is_not_found(running: Service, books: Books, outcomes: Any):
    await books.serve(page("r1", time=NOW), page("r2", time=NOW - timedelta(days=31)))
    await served(books, 4)
    wrong = {"recommendationLogId": "r1", "videoId": "v9", "action": "LIKED"}
    assert (await post(running, wrong)).status == 404
    assert (await post(running, {**wrong, "recommendationLogId": "r2", "videoId": "v1"})).status == 409
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await outcomes.TrackOutcome(pb.TrackOutcomeRequest(recommendation_log_id="r1", video_id="v9", action=pb.LIKED))
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("database_url", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
async def test_an_answer_that_takes_long_is_given_up(running: Service, books: Books):
    """Reads never hurt serving: neither the database works on one for more than two seconds, nor does a caller wait."""

    async def readiness() -> int:
        return (await call(running.http_port, "GET", "/readyz")).status

    async with books.database.begin() as connection:
        await connection.execute(sa.text("LOCK TABLE outcome_days IN ACCESS EXCLUSIVE MODE"))
        answer = await call(running.http_port, "GET", "/feed/algorithm-performance")
        await until(readiness, 503)
    assert (answer.status, answer.json["reason"]) == (503, "UNAVAILABLE")
    await until(readiness, 200)
    assert (await call(running.http_port, "GET", "/feed/algorithm-performance")).status == 200


async def test_metrics_say_whether_it_balances(running: Service, books: Books):
    await books.serve(page("r1", time=NOW))
    await books.act(event(InteractionType.HIDE, NOW, user_id="u2"))

    async def shown() -> list[str]:
        text = (await call(running.http_port, "GET", "/metrics")).text
        names = (
            "served_videos",
            "balance",
            'outcomes{outcome="pending"}',
            'claims{verdict="foreign"}',
            "waiting_claims",
        )
        wanted = tuple(f"feed_insights_{name} " for name in names)
        return [line.removeprefix("feed_insights_") for line in text.splitlines() if line.startswith(wanted)]

    lines = ["served_videos 2.0", 'outcomes{outcome="pending"} 2.0', "balance 0.0", 'claims{verdict="foreign"} 1.0']
    await until(shown, [*lines, "waiting_claims 0.0"])
