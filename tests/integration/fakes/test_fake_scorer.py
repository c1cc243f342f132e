"""Each act as a client of the scorer sees it, and what the scorer tells of it."""

import asyncio
import struct
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fakes.scorer.catalogue import rank
from fakes.scorer.server import FakeScorer
from fakes.script.problems import ScriptError
from fakes.script.reading import read
from feed.scoring.v1 import scoring_pb2 as pb
from feed.scoring.v1 import scoring_pb2_grpc
from tests.integration.fakes.conftest import PROMPT, Caller, shape
from tests.polling import until


async def refused(caller: Caller, timeout_s: float = 5.0) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await caller.rank(timeout_s=timeout_s)
    return caught.value


async def test_without_a_script_it_ranks(caller: Caller) -> None:
    ranking = await caller.rank(k=7)
    assert list(ranking.video_ids) == rank("u1", 1_000, 7, ())[0]
    assert (ranking.model_version, ranking.algorithm, ranking.known_user) == ("fake-2", "lightfm-warp", True)
    excluded = pb.RankRequest(user_id="u1", k=2)
    excluded.filters.exclude_video_ids.append(ranking.video_ids[0])
    seen = excluded.recent_interactions.add(user_id="u1", video_id=ranking.video_ids[1], interaction_type="VIEW")
    seen.timestamp.GetCurrentTime()
    [other] = await caller.rank_batch([excluded])
    assert list(other.video_ids) == list(ranking.video_ids[2:4])


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        pytest.param("ragged = true", (6, 5, True), id="ragged"),
        pytest.param("nan = true", (5, 5, False), id="nan"),
        pytest.param("duplicates = true", (5, 5, True), id="duplicates"),
        pytest.param("empty = true", (0, 0, True), id="empty"),
        pytest.param("latency_ms = [1, 5]", (5, 5, True), id="latency"),
    ],
)
async def test_an_odd_ranking(act: str, expected: tuple[int, int, bool], caller: Caller) -> None:
    caller.scorer.take(f"acts = [{{ {act} }}]")
    ranking = await caller.rank()
    assert shape(ranking) == expected
    assert len(set(ranking.video_ids)) == len(ranking.video_ids) - (act == "duplicates = true")
    assert ranking.known_user is (act != "empty = true")


@pytest.mark.parametrize("act", ["", "ragged = true", "nan = true", "duplicates = true", "empty = true"])
async def test_a_compact_ranking_is_the_same(act: str, caller: Caller) -> None:
    caller.scorer.take(f"acts = [{{ {act} }}]")
    plain, compact = await caller.rank_batch(
        [pb.RankRequest(user_id="u1", k=5), pb.RankRequest(user_id="u1", k=5, compact=True)]
    )
    assert (len(compact.video_ids), len(compact.scores)) == (0, 0)
    assert compact.compact_video_ids == "\n".join(plain.video_ids)
    assert compact.compact_scores == struct.pack(f"<{len(plain.scores)}f", *plain.scores)


@pytest.mark.parametrize(
    ("act", "code", "reason"),
    [
        pytest.param('status = "DATA_LOSS", reason = "GONE"', grpc.StatusCode.DATA_LOSS, "GONE", id="status"),
        pytest.param("wrong_contract = true", grpc.StatusCode.FAILED_PRECONDITION, "CONTRACT_MISMATCH", id="contract"),
        pytest.param("model_missing = true", grpc.StatusCode.FAILED_PRECONDITION, "MODEL_MISSING", id="no-model"),
        pytest.param("crash = true", grpc.StatusCode.INTERNAL, "INTERNAL", id="crash"),
    ],
)
async def test_a_refusal_says_why(act: str, code: grpc.StatusCode, reason: str, caller: Caller) -> None:
    caller.scorer.take(f"acts = [{{ {act} }}]")
    error = await refused(caller)
    assert error.code() is code
    assert detail(error, error_details_pb2.ErrorInfo).reason == reason


def detail(error: grpc.aio.AioRpcError, kind: Any) -> Any:
    raw = dict(error.trailing_metadata() or ())["grpc-status-details-bin"]
    [packed] = [each for each in status_pb2.Status.FromString(raw).details if each.Is(kind.DESCRIPTOR)]
    unpacked = kind()
    packed.Unpack(unpacked)
    return unpacked


async def test_pushback_is_said_both_ways(caller: Caller) -> None:
    """gRFC A6 and RetryInfo: a client may read either."""
    caller.scorer.take('acts = [{ status = "RESOURCE_EXHAUSTED", pushback_ms = 250 }]')
    error = await refused(caller)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert dict(error.trailing_metadata() or ())["grpc-retry-pushback-ms"] == "250"
    assert detail(error, error_details_pb2.RetryInfo).retry_delay.ToMilliseconds() == 250


@pytest.mark.parametrize("act", ["reset", "half"])
async def test_a_cut_connection_is_unavailable_and_the_next_call_works(act: str, caller: Caller) -> None:
    caller.scorer.take(f"acts = [{{ {act} = true, repeat = 1 }}]")
    error = await refused(caller)
    assert error.code() is grpc.StatusCode.UNAVAILABLE

    async def works() -> bool:
        try:
            await caller.rank()
        except grpc.aio.AioRpcError:
            return False
        return True

    await until(works, expected=True)


async def test_a_hung_call_ends_with_its_caller_or_when_it_is_let_go(caller: Caller) -> None:
    caller.scorer.take("acts = [{ hang = true }]")
    assert (await refused(caller, timeout_s=1.0)).code() is grpc.StatusCode.DEADLINE_EXCEEDED

    async def left() -> tuple[int, int]:
        return caller.scorer.ledger.in_flight, caller.scorer.ledger.abandoned

    await until(left, (0, 1))
    waiting = [asyncio.create_task(caller.rank()) for _ in range(3)]
    await until(left, (3, 1))
    assert (await caller.http("POST", "/release")).status == 204
    assert {shape(ranking) for ranking in await asyncio.gather(*waiting)} == {(5, 5, True)}
    assert await left() == (0, 1)


async def test_latency_comes_before_the_rest(caller: Caller) -> None:
    caller.scorer.take('acts = [{ latency_ms = 600000, status = "UNAVAILABLE" }]')
    assert (await refused(caller, timeout_s=0.05)).code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_one_act_holds_for_all_of_a_batch(caller: Caller) -> None:
    caller.scorer.take("acts = [{ empty = true }, { ragged = true }, {}]")
    users = [pb.RankRequest(user_id=f"u{number}", k=5) for number in range(4)]
    shapes = [{shape(ranking) for ranking in await caller.rank_batch(users)} for _ in range(3)]
    assert shapes == [{(0, 0, True)}, {(6, 5, True)}, {(5, 5, True)}]
    assert (caller.scorer.ledger.calls, caller.scorer.ledger.ranked) == (3, 12)


async def test_a_batch_drops_whose_time_has_passed(caller: Caller) -> None:
    """As a scorer does: `timeout_ms` is each user's own, and the others are not held up."""
    caller.scorer.take("acts = [{ latency_ms = 30 }]")
    users = [pb.RankRequest(user_id="u1", k=5, timeout_ms=left_ms) for left_ms in (20, 2_000, 0)]
    answers = await caller.rank_batch(users)
    assert [(ranking.dropped, len(ranking.video_ids)) for ranking in answers] == [(True, 0), (False, 5), (False, 5)]


async def test_the_model_tells_its_age(caller: Caller) -> None:
    caller.scorer.take('model_version = "m7"\nvideos = 9\nacts = [{ stale_model = true, repeat = 1 }]')
    old = await caller.stub.GetModelInfo(pb.GetModelInfoRequest())
    assert (await caller.rank()).model_version == old.model_version == "fake-1"
    new = await caller.stub.GetModelInfo(pb.GetModelInfoRequest())
    assert (await caller.rank()).model_version == new.model_version == "m7"
    assert (new.videos, new.contract_version) == (9, "v2025.9")
    assert new.trained_time.ToDatetime() - old.trained_time.ToDatetime() > timedelta(days=29)


async def test_a_caller_of_another_contract_or_without_a_user_is_refused_as_by_a_real_scorer(caller: Caller) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as contract:
        await caller.rank(contract_version="v2020.1")
    assert contract.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert detail(contract.value, error_details_pb2.ErrorInfo).reason == "CONTRACT_MISMATCH"
    with pytest.raises(grpc.aio.AioRpcError) as user:
        await caller.rank(user_id="")
    assert user.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_health_and_readiness_follow_the_script(caller: Caller) -> None:
    async def said() -> tuple[str, int]:
        async with grpc.aio.insecure_channel(caller.scorer.target) as channel:
            answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status), (
            await caller.http("GET", "/readyz")
        ).status

    await until(said, ("SERVING", 200))
    caller.scorer.take('acts = [{ health = "NOT_SERVING" }, {}]')
    await until(said, ("NOT_SERVING", 503))
    await caller.rank()  # answered all the same: what health says and what calls do may differ
    await until(said, ("SERVING", 200))


async def test_everything_is_counted(caller: Caller) -> None:
    """R06, R09: attempts are counted where they arrive, with the time their caller has left."""
    caller.scorer.take('acts = [{ status = "UNAVAILABLE" }, {}]')
    with pytest.raises(grpc.aio.AioRpcError):
        await caller.rank(x_request_id="r1", contract_version="v2025.9", timeout_s=2)
    await caller.rank(x_request_id="r1", timeout_s=None)
    await caller.rank_batch(
        [pb.RankRequest(user_id="u1", request_id="r2", timeout_ms=40), pb.RankRequest(user_id="u2")]
    )
    told = (await caller.http("GET", "/calls")).json
    last = told.pop("last")
    assert told == {
        "calls": 3,
        "ranked": 4,
        "rankedByAct": {"UNAVAILABLE": 1, "rank": 3},
        "inFlight": 0,
        "mostInFlight": 1,
        "abandoned": 0,
        "requestsByAttempts": {"1": 1, "2": 1},
    }
    assert [(each["act"], each["requestId"], each["attempts"], each["contractVersion"]) for each in last] == [
        ("UNAVAILABLE", "r1", 2, "v2025.9"),
        ("rank", "r1", 2, ""),
        ("rank", "r2", 1, ""),
        ("rank", "", 0, ""),
    ]
    first_ms, second_ms, third_ms, _ = (each["timeRemainingMs"] for each in last)
    assert 1_000 < first_ms <= 2_000
    assert (second_ms, third_ms) == (None, 40)
    metrics = (await caller.http("GET", "/metrics")).text
    assert 'feed_fake_scorer_ranked_total{act="UNAVAILABLE"} 1.0' in metrics
    assert 'feed_fake_scorer_ranked_total{act="rank"} 3.0' in metrics
    assert len((await caller.http("GET", "/calls?last=1")).json["last"]) == 1
    assert (await caller.http("POST", "/reset-counts")).status == 204
    assert (await caller.http("GET", "/calls")).json["ranked"] == 0


@pytest.mark.parametrize("last", ["-1", "ten", "10001", "9" * 5_000])
async def test_a_wrong_count_is_refused(last: str, caller: Caller) -> None:
    answer = await caller.http("GET", f"/calls?last={last}")
    assert (answer.status, answer.json["detail"]) == (400, "last: must be a whole number from 0 to 10000")


async def test_a_script_is_put_at_run_time_and_a_wrong_one_changes_nothing(caller: Caller) -> None:
    answer = await caller.http("PUT", "/script", "acts = [{ empty = true }]")
    assert (answer.status, answer.json) == (200, {"acts": 1, "pages": 0})
    wrong = await caller.http("PUT", "/script", "acts = [{ repeat = 0 }, { hnag = true }]")
    assert wrong.status == 400
    assert wrong.headers["content-type"] == "application/problem+json"
    assert wrong.json["violations"] == [
        {"field": "acts[0].repeat", "reason": "must be a whole number from 1 to 1000000000, not 0"},
        {"field": "acts[1].hnag", "reason": "unknown field; did you mean hang?"},
    ]
    assert shape(await caller.rank()) == (0, 0, True)
    assert (await caller.http("PUT", "/script", "#" * 70_000)).status == 413


async def test_without_the_relay_a_cutting_script_is_refused() -> None:
    async with FakeScorer() as scorer:
        with pytest.raises(ScriptError) as caught:
            scorer.take("acts = [{}, { mix = [{ share = 0.5, half = true }] }]")
    assert str(caught.value) == "acts[1]: half needs the relay: start the scorer with --relay"


async def test_a_killed_scorer_returns_with_its_port_its_script_and_its_counts() -> None:
    script = read("acts = [{ repeat = 1, empty = true }, { ragged = true }]", bridge=False)
    for relay in (False, True):
        async with FakeScorer(script, relay=relay) as scorer:
            target = scorer.target
            async with grpc.aio.insecure_channel(target, options=PROMPT) as channel:
                caller = Caller(scorer, scoring_pb2_grpc.ScoringServiceStub(channel))
                assert shape(await caller.rank()) == (0, 0, True)
                await scorer.kill()
                assert (await refused(caller)).code() is grpc.StatusCode.UNAVAILABLE
                await scorer.start()
                assert scorer.target == target
                await channel.channel_ready()
                assert shape(await caller.rank()) == (6, 5, True)
            assert scorer.ledger.calls == 2
