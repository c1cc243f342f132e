"""The scorer over gRPC: what it answers, what it refuses, how it changes models."""

import asyncio
from datetime import timedelta
from typing import Any

import grpc
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bridge import wire
from bridge.domain.page import Ranking
from feed.common.v1.common_pb2 import VideoFilters
from feed.interactions.v1.interactions_pb2 import LIKE, SKIP, Interaction
from feed.scoring.v1 import scoring_pb2 as pb
from runtime.contract import CONTRACT_KEY, CONTRACT_RELEASE
from runtime.models import bundle_files, popularity_file
from runtime.models.model_bundle import text_table
from runtime.models.popularity import Popularity
from tests.http import call
from tests.integration.scorer.conftest import Scorer
from tests.model_bundles import TRAINED, forge, small_arrays
from tests.polling import until


def reason_of(error: grpc.aio.AioRpcError) -> str:
    trailing = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return str(info.reason)
    return ""


async def test_one_user_is_ranked(scorer: Scorer) -> None:
    answer = await scorer.rank()
    assert list(answer.video_ids) == ["v3", "v2", "v1", "v0"], "v4 was seen"
    assert list(answer.scores) == [3, 2, 1, 0]
    assert (answer.model_version, answer.algorithm, answer.known_user) == ("m1", "lightfm-warp", True)


async def test_what_is_watched_now_changes_the_ranking_while_it_serves(scorer: Scorer) -> None:
    scorer.publish("m2", params={"recent_weight": 1.0, "bias_share": 0.0})
    scorer.promote("m2")
    await until(scorer.version, "m2")
    views = np.array([np.expm1(10.0)], np.float32)
    counted = Popularity(TRAINED + timedelta(hours=1), 1, 86_400.0, text_table(["v1"]), views)
    popularity_file.publish(scorer.models_dir, counted, scorer.key)

    async def first() -> str:
        return (await scorer.rank()).video_ids[0]

    await until(first, "v1")


async def test_an_unknown_user_is_no_error(scorer: Scorer) -> None:
    answer = await scorer.rank("stranger")
    assert (answer.model_version, answer.known_user, list(answer.video_ids)) == ("m1", False, [])


async def test_an_answer_says_until_when_the_model_knows_everything(scorer: Scorer) -> None:
    answer = await scorer.rank("up")
    assert answer.data_until_ms == TRAINED.timestamp() * 1000


async def test_a_stranger_is_ranked_by_what_he_liked(scorer: Scorer) -> None:
    """Issue 6: the last interactions are folded in; the liked video itself does not come back."""
    liked = Interaction(user_id="stranger", video_id="v4", interaction_type=LIKE, timestamp=Timestamp(seconds=1))
    answer = await scorer.rank("stranger", recent_interactions=[liked])
    assert (answer.known_user, list(answer.video_ids)) == (False, ["v3", "v2", "v1", "v0"])
    liked.interaction_type = SKIP
    assert list((await scorer.rank("stranger", recent_interactions=[liked])).video_ids) == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"k": 2}, ["v3", "v2"], id="k"),
        pytest.param({"filters": VideoFilters(exclude_video_ids=["v3"])}, ["v2", "v1", "v0"], id="excluded"),
        pytest.param({"recent_interactions": [Interaction(video_id="v2")]}, ["v3", "v1", "v0"], id="seen just now"),
        pytest.param({"filters": VideoFilters(include_tags=["none"])}, [], id="filtered"),
        pytest.param({"compact_exclude_video_ids": "v3\nv1"}, ["v2", "v0"], id="shown before"),
        pytest.param({"stages": pb.Stages(skip_seen=True)}, ["v4", "v3", "v2", "v1", "v0"], id="seen may come back"),
        pytest.param(
            {"corrections": [pb.ScoreCorrection(kind=pb.BLOCK, video_id="v3")]}, ["v2", "v1", "v0"], id="blocked"
        ),
        pytest.param(
            {"corrections": [pb.ScoreCorrection(kind=pb.BOOST, value=9, video_id="v0")]},
            ["v0", "v3", "v2", "v1"],
            id="boosted",
        ),
    ],
)
async def test_what_may_appear(scorer: Scorer, fields: dict[str, Any], expected: list[str]) -> None:
    for each in fields.get("recent_interactions", []):
        each.user_id, each.interaction_type = "up", 1
        each.timestamp.GetCurrentTime()
    assert list((await scorer.rank(**fields)).video_ids) == expected


async def test_the_parts_of_the_best_scores_are_told(scorer: Scorer) -> None:
    boost = pb.ScoreCorrection(kind=pb.BOOST, value=9, video_id="v0")
    answer = await scorer.rank(parts=2, corrections=[boost], compact_exclude_video_ids="v2")
    names = ["user_item", "user_bias", "item_bias", "prior", "correction", "stages"]
    assert list(answer.part_names) == names
    rows = np.frombuffer(answer.compact_parts, "<f4").reshape(-1, len(names))
    assert rows.tolist() == [[0, 0, 0, 0, 9, 0], [3, 0, 0, 0, 0, 0]]
    assert list(answer.scores) == [9, 3, 1]
    assert dict(answer.removed) == {"seen": 1, "excluded": 1}
    plain = await scorer.rank()
    assert (list(plain.part_names), plain.compact_parts, dict(plain.removed)) == ([], b"", {})


async def test_a_session_has_its_own_order_and_says_what_was_explored(scorer: Scorer) -> None:
    """Few users have met the videos of this model, so each is new; two places of four are kept for them."""
    stages = pb.Stages(shuffle=1, exploration=0.5)
    answers = [await scorer.rank("none", k=2, seed=seed, stages=stages) for seed in (*range(1, 20), 1)]
    assert answers[0] == answers[-1]
    assert len({tuple(each.video_ids) for each in answers}) > 3
    for each in answers:
        assert list(each.scores) == sorted(each.scores, reverse=True)
        assert list(each.propensities) == [pytest.approx(1 / 3)] * len(each.explored)
    assert {len(each.explored) for each in answers} == {1}


async def test_scores_are_explained(scorer: Scorer) -> None:
    asked = pb.RankRequest(user_id="up", compact_exclude_video_ids="v1")
    answer = await scorer.stub.Explain(pb.ExplainRequest(rank=asked, video_ids=["v3", "v4", "v1", "v9"]), timeout=5)
    assert (answer.model_version, answer.algorithm, answer.known_user) == ("m1", "lightfm-warp", True)
    told = answer.explanations
    assert [each.video_id for each in told] == ["v3", "v4", "v1", "v9"]
    assert [each.removed_by for each in told] == ["", "seen", "excluded", ""]
    assert [each.known_video for each in told] == [True, True, True, False]
    assert [each.score for each in told] == [3, 4, 1, 0]
    assert {part.name: part.value for part in told[0].parts} == {
        "user_item": 3,
        "user_bias": 0,
        "item_bias": 0,
        "prior": 0,
        "correction": 0,
    }


async def test_liked_videos_explain_a_score(scorer: Scorer) -> None:
    liked = Interaction(user_id="up", video_id="v4", interaction_type=LIKE, timestamp=Timestamp(seconds=1))
    asked = pb.RankRequest(user_id="up", recent_interactions=[liked])
    answer = await scorer.stub.Explain(pb.ExplainRequest(rank=asked, video_ids=["v3", "v4"]), timeout=5)
    assert [list(each.because_video_ids) for each in answer.explanations] == [["v4"], []]
    parts = {part.name: part.value for part in answer.explanations[0].parts}
    assert (parts["user_own"], parts["user_liked"]) == (3, 13)


async def test_a_batch_is_answered_in_order(scorer: Scorer) -> None:
    requests = [pb.RankRequest(user_id=user, k=1) for user in ("up", "stranger", "down")]
    answer = await scorer.stub.RankBatch(pb.RankBatchRequest(requests=requests), timeout=5)
    assert [list(each.video_ids) for each in answer.responses] == [["v3"], [], ["v0"]]


async def test_the_model_is_described(scorer: Scorer) -> None:
    info = await scorer.stub.GetModelInfo(pb.GetModelInfoRequest(), timeout=5)
    assert (info.model_version, info.users, info.videos, info.dimensions) == ("m1", 3, 5, 2)
    assert info.trained_time.ToDatetime(tzinfo=TRAINED.tzinfo) == TRAINED
    assert info.loaded_time.ToDatetime(tzinfo=TRAINED.tzinfo) > TRAINED
    assert dict(info.metrics) == {"ndcg_at_10": 0.5}
    assert len(info.sha256) == 64
    assert info.contract_version == CONTRACT_RELEASE


@pytest.mark.parametrize(
    ("request_fields", "field"),
    [
        pytest.param({"user_id": ""}, "userId", id="no user"),
        pytest.param({"user_id": "a b"}, "userId", id="a space"),
        pytest.param({"user_id": "up", "k": -1}, "k", id="negative k"),
        pytest.param({"user_id": "up", "k": 1001}, "k", id="k too large"),
    ],
)
async def test_a_broken_rule_is_named(scorer: Scorer, request_fields: dict[str, Any], field: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await scorer.stub.Rank(pb.RankRequest(**request_fields), timeout=5)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (refused.value.details() or "").startswith(f"{field}: ")


async def test_the_compact_form_says_the_same(scorer: Scorer) -> None:
    """It is quicker to read, and nothing else; the bridge takes either."""
    plain = await scorer.stub.Rank(pb.RankRequest(user_id="up"), timeout=5)
    compact = await scorer.stub.Rank(pb.RankRequest(user_id="up", compact=True), timeout=5)
    assert wire.ranked(compact) == Ranking(list(plain.video_ids), tuple(plain.scores))
    assert (len(plain.video_ids), len(compact.video_ids), len(compact.scores)) == (4, 0, 0)
    assert compact.model_version == plain.model_version


async def test_each_request_of_a_batch_has_its_own_time(scorer: Scorer) -> None:
    requests = [pb.RankRequest(user_id="up", timeout_ms=timeout_ms) for timeout_ms in (0, 5_000)]
    answer = await scorer.stub.RankBatch(pb.RankBatchRequest(requests=requests), timeout=5)
    assert [(each.dropped, len(each.video_ids)) for each in answer.responses] == [(False, 4), (False, 4)]


@pytest.mark.parametrize("method", ["Rank", "RankBatch", "Explain", "GetModelInfo"])
async def test_another_contract_is_refused(scorer: Scorer, method: str) -> None:
    requests = {
        "Rank": pb.RankRequest(user_id="up"),
        "RankBatch": pb.RankBatchRequest(requests=[pb.RankRequest(user_id="up")]),
        "Explain": pb.ExplainRequest(rank=pb.RankRequest(user_id="up"), video_ids=["v1"]),
        "GetModelInfo": pb.GetModelInfoRequest(),
    }
    call = getattr(scorer.stub, method)
    await call(requests[method], metadata=((CONTRACT_KEY, CONTRACT_RELEASE),), timeout=5)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call(requests[method], metadata=((CONTRACT_KEY, "v2024.1"),), timeout=5)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert reason_of(refused.value) == "CONTRACT_MISMATCH"


async def test_without_a_model_it_says_so_until_one_comes(empty: Scorer) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await empty.rank()
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert reason_of(refused.value) == "MODEL_MISSING"
    assert await empty.ready() == 503
    health = health_pb2_grpc.HealthStub(empty.channel)
    request = health_pb2.HealthCheckRequest(service="feed.scoring.v1.ScoringService")
    assert (await health.Check(request)).status == health_pb2.HealthCheckResponse.NOT_SERVING
    empty.publish("m1")
    empty.promote("m1")
    await until(empty.ready, 200)
    assert await empty.version() == "m1"


async def test_another_model_is_taken_without_a_failed_call(scorer: Scorer) -> None:
    scorer.publish("m2")
    calls = [asyncio.create_task(scorer.rank()) for _ in range(50)]
    scorer.promote("m2")
    while await scorer.version() != "m2":
        calls.append(asyncio.create_task(scorer.rank()))
    versions = {answer.model_version for answer in await asyncio.gather(*calls)}
    assert versions <= {"m1", "m2"}
    assert await scorer.metric('feed_scorer_model_swaps_total{result="swapped"} 2.0')
    assert await scorer.metric('feed_scorer_model_info{algorithm="lightfm-warp",model_version="m2"} 1.0')
    scorer.promote("m1")
    await until(scorer.version, "m1")


def flip_a_bit(scorer: Scorer) -> None:
    path = scorer.models_dir / "m2" / bundle_files.ARRAYS_FILE
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)


def sign_with_another_key(scorer: Scorer) -> None:
    forge(scorer.models_dir, Ed25519PrivateKey.generate(), small_arrays().named(), "m2")


def hold_no_number(scorer: Scorer) -> None:
    named = {**small_arrays().named(), "item_prior": np.full(5, np.nan, np.float32)}
    forge(scorer.models_dir, scorer.key, named, "m2")


def hold_another_shape(scorer: Scorer) -> None:
    named = {**small_arrays().named(), "item_factors": np.zeros((4, 4), np.float32)}
    forge(scorer.models_dir, scorer.key, named, "m2")


def show_nothing(scorer: Scorer) -> None:
    named = {**small_arrays().named(), "item_active": np.zeros(5, np.bool_)}
    forge(scorer.models_dir, scorer.key, named, "m2")


@pytest.mark.parametrize(
    "attack", [flip_a_bit, sign_with_another_key, hold_no_number, hold_another_shape, show_nothing]
)
async def test_a_bad_model_is_refused_and_the_old_one_stays(scorer: Scorer, attack: Any) -> None:
    scorer.publish("m2")
    attack(scorer)
    scorer.promote("m2")
    await until(lambda: scorer.metric('feed_scorer_model_swaps_total{result="refused"} 1.0'), True)
    assert await scorer.version() == "m1"
    assert await scorer.ready() == 200
    scorer.publish("m3")
    scorer.promote("m3")
    await until(scorer.version, "m3")


async def test_a_pointer_to_nowhere_is_refused(scorer: Scorer) -> None:
    (scorer.models_dir / bundle_files.LIVE_FILE).write_text("../../../etc")
    await until(lambda: scorer.metric('feed_scorer_model_swaps_total{result="refused"} 1.0'), True)
    assert await scorer.version() == "m1"


async def test_the_age_of_the_model_is_shown(scorer: Scorer) -> None:
    text = (await call(scorer.service.http_port, "GET", "/metrics")).text
    (line,) = [line for line in text.splitlines() if line.startswith("feed_scorer_model_age_seconds ")]
    assert float(line.split()[1]) > 3600
