"""The whole path: a feed, its fallback, an interaction on its way to the next model. Embedded and real."""

import asyncio
import json
import os
import signal
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import cycle, repeat
from typing import Any

import pytest
import sqlalchemy as sa
from confluent_kafka import Consumer

from feed.interactions.v1 import interactions_pb2
from feed.recommendations.v1 import recommendations_pb2 as pb
from storage.database import reading
from storage.tables import model_trainings, user_interactions
from tests.http import call_now, post_json
from tests.polling import wait_for
from tests.system import PAGE_TIMEOUT_S, System

KNOWN = "u1"
# Whom the model knows too, and no test cares for.
PROBES = cycle(f"u{number}" for number in range(100, 380))
# An interaction is in the database within a second or so; a busy machine takes longer.
STORED_BOUND_S = 30.0
# A scorer looks for a new model all the time.
SWAP_BOUND_S = 30.0


def interaction(user_id: str, video_id: str, **changes: Any) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "eventId": str(uuid.uuid4()),
        "userId": user_id,
        "videoId": video_id,
        "interactionType": "VIEW",
        "watchTime": 12.5,
        "timestamp": now,
        **changes,
    }


def rows(engine: sa.Engine, statement: sa.Select[Any]) -> list[Any]:
    with reading(engine) as connection:
        return list(connection.execute(statement).all())


def videos_of(page: pb.GetRecommendationsResponse) -> list[str]:
    return [each.video_id for each in page.recommendations]


def personal(system: System, user_id: str = KNOWN, probes: Iterator[str] = PROBES) -> pb.GetRecommendationsResponse:
    """Asks until the page is personal: after a fault, the breaker needs its time.

    It waits with small pages of others: what a user is served meanwhile does not come back, and the few hundred videos
    there are would soon be used up.
    """

    def ask() -> pb.GetRecommendationsResponse:
        small = system.page(next(probes), page_size=1)
        return system.page(user_id) if small.source == pb.LIGHTFM else small

    return wait_for(ask, lambda page: page.source == pb.LIGHTFM)


def test_a_known_user_gets_a_personal_page(system: System):
    # A busy machine may be late for a first attempt. Who has been served all there is is asked for twice, so this is
    # somebody whom no other test asks for.
    page = wait_for(lambda: personal(system, "u390"), lambda page: page.attempts == 1 and page.budget_left_ms > 0)
    scores = [each.score for each in page.recommendations]
    assert len(set(videos_of(page))) == 20
    assert scores == sorted(scores, reverse=True)
    assert [each.position for each in page.recommendations] == list(range(1, 21))
    assert (page.fallback_reason, page.contract_version) == (pb.NONE, "v2025.9")
    assert page.model_version
    assert page.budget_left_ms <= 150


def test_two_users_get_different_pages(system: System):
    assert videos_of(personal(system, "u1")) != videos_of(personal(system, "u2"))


def test_an_unknown_user_gets_a_full_page(system: System):
    page = system.page("nobody-has-seen-me")
    assert len(set(videos_of(page))) == 20
    assert (page.source, page.fallback_reason) == (pb.TRENDING, pb.EMPTY_RANKING)


def test_a_like_changes_the_next_page_without_a_training(system: System):
    """Issue 6: folded in within a second or two of being recorded; a new user gets a feed of his own by it."""
    newcomer = f"newcomer-{uuid.uuid4()}"
    liked = videos_of(system.page(newcomer))[0]
    answer = post_json(
        system.http_port("interactions"),
        "/feed/interactions",
        interaction(newcomer, liked, interactionType="LIKE"),
    )
    assert answer.status == 200

    page = personal(system, newcomer, probes=repeat(newcomer))

    assert liked not in videos_of(page)
    assert len(set(videos_of(page))) == 20


def test_rest_says_the_same_as_grpc(system: System):
    token = personal(system).next_page_token  # of a fresh page each time, as what was served does not come back
    over_grpc = system.page(KNOWN, page_token=token)
    answer = call_now(system.http_port("bridge"), "GET", f"/feed/recommendations?userId={KNOWN}&pageToken={token}")
    assert answer.status == 200
    assert [each["videoId"] for each in answer.json["recommendations"]] == videos_of(over_grpc)
    assert (answer.json["source"], answer.json["modelVersion"]) == ("LIGHTFM", over_grpc.model_version)


def test_scrolling_never_repeats(system: System):
    page = personal(system)
    seen = videos_of(page)
    for _ in range(3):
        page = system.page(KNOWN, page_token=page.next_page_token)
        assert page.source == pb.LIGHTFM
        seen += videos_of(page)
    assert len(seen) == len(set(seen)) == 80


def test_the_answer_survives_a_killed_scorer_and_the_scorer_comes_back(system: System):
    personal(system)
    os.kill(system.pid("scorer"), signal.SIGKILL)
    page = system.page("u391")
    assert len(set(videos_of(page))) == 20
    assert page.source == pb.TRENDING
    assert page.fallback_reason in (pb.UNAVAILABLE, pb.CIRCUIT_OPEN, pb.DEADLINE)
    personal(system)


def test_the_answer_survives_a_hung_scorer(system: System):
    personal(system)
    pid = system.pid("scorer")
    os.kill(pid, signal.SIGSTOP)
    try:
        page = system.page("u392")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert len(set(videos_of(page))) == 20
    assert (page.source, page.fallback_reason) == (pb.TRENDING, pb.DEADLINE)
    personal(system)


def test_a_posted_interaction_is_in_the_database(system: System, system_database: sa.Engine):
    event = interaction(KNOWN, "v1", feedSessionId="s-1", position=3, algorithm="lightfm-warp", recommendationScore=0.5)
    answer = post_json(system.http_port("interactions"), "/feed/interactions", event)
    assert answer.status == 200
    assert answer.json["result"] == {"eventId": event["eventId"], "status": "ACCEPTED"}
    columns = user_interactions.c
    found = wait_for(
        lambda: rows(
            system_database,
            sa.select(
                columns.user_id, columns.watch_time_s, columns.feed_session_id, columns.recommendation_score
            ).where(columns.event_id == event["eventId"]),
        ),
        bool,
        bound_s=STORED_BOUND_S,
    )
    assert found == [(KNOWN, 12.5, "s-1", 0.5)]


def test_the_same_event_over_grpc_and_rest_is_stored_once(system: System, system_database: sa.Engine):
    event = interaction(KNOWN, "v2")
    over_grpc = interactions_pb2.Interaction(
        event_id=event["eventId"],
        user_id=KNOWN,
        video_id="v2",
        interaction_type=interactions_pb2.VIEW,
        watch_time_s=12.5,
    )
    over_grpc.timestamp.FromJsonString(event["timestamp"])
    request = interactions_pb2.RecordInteractionsRequest(interactions=[over_grpc] * 3)
    for _ in range(3):
        system.interactions().RecordInteractions(request, timeout=10)
        post_json(system.http_port("interactions"), "/feed/interactions", {"interactions": [event, event]})
    last = interaction(KNOWN, "v3")
    post_json(system.http_port("interactions"), "/feed/interactions", last)

    def stored(event_id: str) -> list[Any]:
        columns = user_interactions.c
        return rows(system_database, sa.select(columns.id).where(columns.event_id == event_id))

    wait_for(lambda: stored(last["eventId"]), bool, bound_s=STORED_BOUND_S)
    wait_for(lambda: stored(event["eventId"]), bool, bound_s=STORED_BOUND_S)
    assert len(stored(event["eventId"])) == 1


def test_what_was_acknowledged_is_in_kafka_as_promised(system: System):
    """An independent consumer: a plain client that knows only the topic."""
    bootstrap = system.servers().get("FEED_KAFKA_BOOTSTRAP_SERVERS")
    if bootstrap is None:
        pytest.skip("embedded: there is no broker")
    event = interaction("kafka-user", "v9")
    answer = post_json(system.http_port("interactions"), "/feed/interactions", event).json
    assert answer["durability"] in {"KAFKA", "JOURNAL"}  # the journal's relay brings it on when Kafka was slow
    key, value = read_record(bootstrap, event["eventId"])
    assert key == b"kafka-user"
    expected = ("userId", "videoId", "interactionType", "watchTime", "timestamp", "eventId")
    assert {name: value[name] for name in expected} == {name: event[name] for name in expected}


def read_record(bootstrap: str, event_id: str) -> tuple[str | bytes, dict[str, Any]]:
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": f"test-{uuid.uuid4()}", "auto.offset.reset": "earliest"}
    )
    try:
        consumer.subscribe(["feed.interactions.v1"])
        end = time.monotonic() + 30
        while time.monotonic() < end:
            message = consumer.poll(0.5)
            if message is not None and message.error() is None:
                value = json.loads(message.value() or b"{}")
                if value["eventId"] == event_id:
                    return message.key() or b"", value
    finally:
        consumer.close()
    raise AssertionError("the acknowledged record is not in the topic")


LONG_AGO = "1970-01-01T00:00:00.000Z"
NEXT_YEAR = (datetime.now(UTC) + timedelta(days=365)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pytest.mark.parametrize(
    ("change", "field", "accepted"),
    [
        pytest.param({"userId": ""}, "userId", "1 to 128 characters", id="no user"),
        pytest.param({"videoId": "x" * 40_000}, "videoId", "1 to 128 characters", id="huge id"),
        pytest.param({"interactionType": "STARE"}, "interactionType", "VIEW, CLICK, LIKE", id="unknown type"),
        pytest.param({"watchTime": -1}, "watchTime", "0 and less than or equal to 86400", id="negative watch time"),
        pytest.param({"timestamp": LONG_AGO}, "timestamp", "must be from 20", id="1970"),
        pytest.param({"timestamp": NEXT_YEAR}, "timestamp", "must be from 20", id="next year"),
    ],
)
def test_a_bad_event_is_refused_by_name_and_nothing_is_written(
    system: System, system_database: sa.Engine, change: dict[str, Any], field: str, accepted: str
):
    event = {**interaction("refused-user", "v1"), **change}
    answer = post_json(system.http_port("interactions"), "/feed/interactions", event)
    assert answer.status in (400, 422)
    assert any(each["field"].endswith(field) and accepted in each["reason"] for each in answer.json["violations"])
    after = interaction(KNOWN, "v4")
    post_json(system.http_port("interactions"), "/feed/interactions", after)
    columns = user_interactions.c
    wait_for(
        lambda: rows(system_database, sa.select(columns.id).where(columns.event_id == after["eventId"])),
        bool,
        bound_s=STORED_BOUND_S,
    )
    assert rows(system_database, sa.select(columns.id).where(columns.event_id == event["eventId"])) == []


@pytest.mark.parametrize(
    ("query", "field", "accepted"),
    [
        pytest.param("", "userId", "1 to 128 characters", id="no user"),
        pytest.param("userId=u1&pageSize=-1", "pageSize", "0 and less than or equal to 100", id="negative page size"),
        pytest.param("userId=u1&pageSize=many", "pageSize", "0 to 100", id="page size is no number"),
        pytest.param("userId=u1&pageToken=forged", "pageToken", "", id="forged token"),
        pytest.param("userId=u1&colour=red", "colour", "", id="unknown parameter"),
    ],
)
def test_a_bad_feed_request_is_refused_by_name(system: System, query: str, field: str, accepted: str):
    answer = call_now(system.http_port("bridge"), "GET", f"/feed/recommendations?{query}")
    assert answer.status == 400
    assert any(each["field"].endswith(field) and accepted in each["reason"] for each in answer.json["violations"])


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"interactions": 3}', b'{"watchTime": NaN}', b"\xff\xfe"])
def test_a_body_that_is_no_interaction_is_refused(system: System, body: bytes):
    answer = call_now(
        system.http_port("interactions"), "POST", "/feed/interactions", body, {"content-type": "application/json"}
    )
    assert answer.status in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_wrong_setting_stops_a_process_with_its_name_and_range(system: System):
    done = system.feed("bridge", environ={"FEED_BRIDGE_GRPC_PORT": "99999", "FEED_BRIDGE_COLOUR": "red"})
    assert done.returncode == 2
    assert "FEED_BRIDGE_GRPC_PORT='99999'" in done.stderr
    assert "0 to 65535" in done.stderr
    assert "FEED_BRIDGE_COLOUR: unknown setting" in done.stderr


def test_the_loop_closes_a_new_user_is_known_to_the_next_model_without_a_failed_call(
    system: System, system_database: sa.Engine
):
    """What a user does now is in the database, in the export, in the next model; the scorer swaps under load."""
    newcomer = f"newcomer-{uuid.uuid4().hex[:8]}"
    before = personal(system)
    liked = videos_of(before)[:8]
    events = [
        interaction(newcomer, video, interactionType=kind) for video in liked for kind in ("VIEW", "LIKE", "SHARE")
    ]
    answer = post_json(system.http_port("interactions"), "/feed/interactions", {"interactions": events})
    assert {each["status"] for each in answer.json["results"]} == {"ACCEPTED"}
    columns = user_interactions.c
    wait_for(
        lambda: rows(system_database, sa.select(columns.id).where(columns.user_id == newcomer)),
        lambda found: len(found) == len(events),
        bound_s=STORED_BOUND_S,
    )

    answers = asyncio.run(train_under_load(system, before.model_version))
    told = [(len({*videos_of(page)}), page.source, page.fallback_reason, page.budget_left_ms) for page in answers]
    assert [each for each in told if each[0] != 20] == []

    # The model before knows the newcomer too, by what was folded in.
    page = personal(system, newcomer, probes=repeat(newcomer))
    assert page.model_version != before.model_version
    assert not set(videos_of(page)) & set(liked)
    status = rows(
        system_database,
        sa.select(model_trainings.c.status).where(model_trainings.c.model_version == page.model_version),
    )
    assert status == [("succeeded",)]


async def train_under_load(system: System, old: str) -> list[pb.GetRecommendationsResponse]:
    """Runs the nightly job while pages are asked for, until its model serves; every call must be answered."""
    training = asyncio.create_task(asyncio.to_thread(system.feed, "trainer", "run"))
    answers = []

    async def ask() -> str:
        answers.append(await asyncio.to_thread(system.page, KNOWN))
        return answers[-1].model_version

    while not training.done():
        await ask()
    trained = await training
    assert trained.returncode == 0, trained.stdout + trained.stderr
    end = time.monotonic() + SWAP_BOUND_S
    while await ask() in {"", old}:
        assert time.monotonic() < end, "the new model does not serve"
    return [*answers, *[await asyncio.to_thread(system.page, KNOWN) for _ in range(20)]]


def test_every_process_shows_metrics_and_health(system: System):
    expected = {
        "bridge": ("feed_bridge_requests_total", "feed_bridge_breaker_state"),
        "scorer": ("feed_scorer_model_info", "feed_scorer_rank_duration_seconds_bucket"),
        "interactions": ("feed_interactions_events_total", "feed_interactions_publish_duration_seconds_bucket"),
        "sink": ("feed_sink_lag_records", "feed_sink_records_total"),
        "insights": ("feed_insights_balance 0.0", "feed_insights_ledger_age_seconds"),
        "trainer": ("feed_trainer_model_age_seconds",),
    }
    for name, metrics in expected.items():
        port = system.http_port(name)
        assert call_now(port, "GET", "/healthz").status == 200
        assert call_now(port, "GET", "/readyz").status == 200
        text = call_now(port, "GET", "/metrics").text
        assert [metric for metric in metrics if metric not in text] == [], name


def test_one_request_id_is_in_the_logs_of_bridge_and_scorer(system: System):
    """At DEBUG every call is logged on both sides; the id joins them."""
    personal(system)
    request_id = f"trace-{uuid.uuid4().hex}"
    system.recommendations().GetRecommendations(
        pb.GetRecommendationsRequest(user_id=KNOWN), metadata=(("x-request-id", request_id),), timeout=PAGE_TIMEOUT_S
    )
    for name in ("bridge", "scorer"):
        log = system.folder / "log" / f"{name}.log"
        wait_for(partial(lambda log: request_id in log.read_text(), log), bool, bound_s=STORED_BOUND_S)
