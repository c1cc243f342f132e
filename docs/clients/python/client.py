"""Asks for a feed and says what the user did, as a mobile back end would.

Prints what came of each call, a JSON line each. docs/clients/README.md has the commands.
"""

import json
import sys
import uuid

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from feed.interactions.v1 import interactions_pb2, interactions_pb2_grpc
from feed.recommendations.v1 import recommendations_pb2, recommendations_pb2_grpc

USER_ID = "u1"

# With these a bridge that is restarted costs the caller nothing: docs/api.md, "Client settings".
SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "healthCheckConfig": {"serviceName": ""},
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.02s",
                "maxBackoff": "0.2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
            },
        }
    ],
    "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1},
}
OPTIONS = (
    ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.min_reconnect_backoff_ms", 1000),
)


def watched(
    page: recommendations_pb2.GetRecommendationsResponse,
    place: int,
    what: "interactions_pb2.InteractionType.ValueType",
    seconds: float = 12.5,
) -> interactions_pb2.Interaction:
    """Makes an event of a video of a page, with all that ties it to the page. Keep it until it is acknowledged."""
    video = page.recommendations[place]
    now = Timestamp()
    now.GetCurrentTime()
    return interactions_pb2.Interaction(
        event_id=str(uuid.uuid4()),
        user_id=USER_ID,
        video_id=video.video_id,
        interaction_type=what,
        watch_time_s=seconds,
        timestamp=now,
        feed_session_id=page.feed_session_id,
        recommendation_id=page.recommendation_id,
        position=video.position,
        algorithm=page.algorithm,
        recommendation_score=video.score,
        model_version=page.model_version,
        experiments=page.experiments,
        served_token=video.served_token,
    )


def scroll(feed: recommendations_pb2_grpc.RecommendationServiceStub) -> recommendations_pb2.GetRecommendationsResponse:
    """Asks for two pages; returns the first. The bridge answers in 150 ms whatever happens behind it."""
    request = recommendations_pb2.GetRecommendationsRequest(user_id=USER_ID, page_size=3, explain=True)
    page = feed.GetRecommendations(request, timeout=5)
    say(
        call="page",
        videos=[each.video_id for each in page.recommendations],
        source=recommendations_pb2.Source.Name(page.source),
        reason=recommendations_pb2.FallbackReason.Name(page.fallback_reason),
        explanation=page.recommendations[0].explanation,
    )
    request.page_token = page.next_page_token
    following = feed.GetRecommendations(request, timeout=5)
    say(call="next", videos=[each.video_id for each in following.recommendations])
    return page


def record(events: interactions_pb2_grpc.InteractionServiceStub, event: interactions_pb2.Interaction) -> None:
    """Sends one event. After UNAVAILABLE, send the same again."""
    request = interactions_pb2.RecordInteractionRequest(interaction=event)
    answer = events.RecordInteraction(request, timeout=10)
    status = interactions_pb2.RecordStatus.Name(answer.result.status)
    durability = interactions_pb2.Durability.Name(answer.durability)
    say(call="recorded", eventId=event.event_id, status=status, durability=durability)


def record_batch(events: interactions_pb2_grpc.InteractionServiceStub, *batch: interactions_pb2.Interaction) -> None:
    """Sends several events; each has its own result."""
    request = interactions_pb2.RecordInteractionsRequest(interactions=batch)
    for result in events.RecordInteractions(request, timeout=10).results:
        status = interactions_pb2.RecordStatus.Name(result.status)
        say(call="batch", eventId=result.event_id, status=status, field=result.field)


def say(**what: object) -> None:
    """Prints a line."""
    print(json.dumps(what))


def main(bridge: str, ingest: str) -> None:
    """Makes all calls."""
    # With TLS: grpc.secure_channel and grpc.ssl_channel_credentials.
    with grpc.insecure_channel(bridge, OPTIONS) as to_bridge, grpc.insecure_channel(ingest, OPTIONS) as to_ingest:
        page = scroll(recommendations_pb2_grpc.RecommendationServiceStub(to_bridge))
        events = interactions_pb2_grpc.InteractionServiceStub(to_ingest)
        liked = watched(page, 0, interactions_pb2.LIKE)
        for _ in range(2):  # sent again, it is still one event
            record(events, liked)
        bad = watched(page, 1, interactions_pb2.VIEW, seconds=-1)
        record_batch(events, watched(page, 1, interactions_pb2.VIEW), bad)


if __name__ == "__main__":
    main(*sys.argv[1:])
