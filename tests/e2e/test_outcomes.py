"""From a page over what users do with it to the answers of the insights. Embedded and real."""

import uuid
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from feed.recommendations.v1 import recommendations_pb2 as pb
from storage.database import reading
from storage.tables import prediction_outcomes
from tests.http import call_now, post_json
from tests.polling import wait_for
from tests.system import System


def told_back(user_id: str, page: pb.GetRecommendationsResponse, place: int, **changes: Any) -> dict[str, Any]:
    """What a client sends of a video: everything that the page told it."""
    shown = page.recommendations[place]
    return {
        "eventId": str(uuid.uuid4()),
        "userId": user_id,
        "videoId": shown.video_id,
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "feedSessionId": page.feed_session_id,
        "recommendationId": page.recommendation_id,
        "position": shown.position,
        "servedToken": shown.served_token,
        **changes,
    }


def outcomes_of(engine: sa.Engine, page_id: str) -> list[str]:
    columns = prediction_outcomes.c
    wanted = sa.select(columns.user_action).where(columns.recommendation_id == page_id).order_by(columns.position)
    with reading(engine) as connection:
        return list(connection.scalars(wanted))


def test_what_a_user_does_becomes_the_outcome_of_what_he_was_served(system: System, system_database: sa.Engine):
    user_id = f"newcomer-{uuid.uuid4()}"
    page = system.page(user_id, page_size=4)
    events = [
        told_back(user_id, page, 0, interactionType="VIEW", watchTime=3.5),
        told_back(user_id, page, 0, interactionType="LIKE"),
        told_back(user_id, page, 1, interactionType="LIKE", servedToken="A" * 16),
        told_back("somebody-else", page, 2, interactionType="HIDE"),
    ]
    answer = post_json(system.http_port("interactions"), "/feed/interactions", {"interactions": events})
    assert answer.status == 200
    rated = {"recommendationLogId": page.recommendation_id, "videoId": page.recommendations[3].video_id}
    tracked = post_json(system.http_port("insights"), "/feed/outcomes", {**rated, "action": "RATED", "userRating": 9})
    assert (tracked.status, tracked.json) == (200, {"created": True})

    expected = ["liked", "pending", "pending", "rated"]
    wait_for(lambda: outcomes_of(system_database, page.recommendation_id), lambda found: found == expected, bound_s=20)

    port = system.http_port("insights")
    assert call_now(port, "GET", f"/feed/acceptance-rate?userId={user_id}").json == {
        "served": "4",
        "accepted": "2",
        "rate": 0.5,
    }
    wait_for(lambda: call_now(port, "GET", "/metrics").text, lambda text: "feed_insights_balance 0.0" in text)
