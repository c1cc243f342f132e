"""Who calls too often is refused with a hint, on every door, and nobody else is."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import grpc
import pytest

from feed.interactions.v1 import interactions_pb2 as pb
from tests.integration.interactions.ingesting import Ingest, event, message, refusal_of, running

BURST: Final = 3
# So slow that no test waits for it: a token in a hundred seconds.
SLOW: Final = 0.01


@pytest.fixture
async def few(tmp_path: Path) -> AsyncIterator[Ingest]:
    """Takes three requests of each user."""
    async with running(tmp_path, limit_user_rps=SLOW, limit_user_burst=BURST) as ingest:
        yield ingest


async def test_grpc_says_when_to_come_again(few: Ingest):
    for _ in range(BURST):
        await few.one(message())

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await few.one(message())

    found = refusal_of(refused.value)
    assert (refused.value.code(), found.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "USER_RATE")
    assert 90 < found.retry_s <= 100
    assert found.pushback_ms == pytest.approx(found.retry_s * 1000, abs=1)


async def test_rest_says_when_to_come_again(few: Ingest):
    for _ in range(BURST):
        assert (await few.post(event())).status == 200

    answer = await few.post(event())

    assert (answer.status, answer.json["reason"]) == (429, "USER_RATE")
    assert 90 < int(answer.headers["retry-after"]) <= 100


async def test_both_doors_count_together_and_each_user_for_himself(few: Ingest):
    await few.one(message())
    await few.batch(message(), message())
    await few.post(event())
    assert (await few.post({"interactions": [event(), event()]})).status == 429
    assert (await few.post(event(userId="u2"))).status == 200


async def test_a_service_that_sends_for_many_is_no_user(few: Ingest):
    for _ in range(BURST + 2):
        answer = await few.batch(message(), message(user_id="u2"))
        assert {each.status for each in answer.results} == {pb.ACCEPTED}


async def test_what_is_refused_is_not_kept_and_is_counted(few: Ingest):
    for _ in range(BURST):
        await few.one(message())
    for _ in range(2):
        with pytest.raises(grpc.aio.AioRpcError):
            await few.one(message(video_id="v2"))
    assert (await few.post(event(videoId="v2"))).status == 429

    assert [each["videoId"] for each in few.stored()] == ["v1"] * BURST
    assert await few.metric('feed_process_throttled_total{kind="user_rate"}') == 3


async def test_a_stream_counts_by_the_hundred_and_is_slowed_not_broken(tmp_path: Path):
    """It has no answer until its end, so there is nobody to refuse: what comes too fast waits with its sender."""
    async with running(tmp_path, limit_user_rps=50, limit_user_burst=1) as ingest:
        answer = await ingest.stream(*(message() for _ in range(450)))
        assert answer.accepted == 450


async def test_an_address_is_refused_before_anybody_asks_who_calls(tmp_path: Path):
    async with running(tmp_path, limit_peer_rps=SLOW, limit_peer_burst=BURST) as ingest:
        for number in range(BURST):
            await ingest.one(message(user_id=f"u{number}"))
        answer = await ingest.post(event(userId="u9"))
        assert (answer.status, answer.json["reason"]) == (429, "PEER_RATE")
        assert json.loads((await ingest.get("/healthz")).text) == {"status": "ok"}
        assert await ingest.metric('feed_process_throttled_total{kind="peer_rate"}') == 1
