"""What a client says of an event is in the table, whichever door it came through."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

import interactions.sink.app
from feed.common.v1 import common_pb2
from feed.interactions.v1 import interactions_pb2 as pb
from interactions.sink.settings import SinkSettings
from runtime.process import Service
from storage.database import Database
from storage.tables import user_interactions
from tests.integration.interactions.ingesting import Ingest, event, message, running
from tests.polling import until

TIME = datetime.now(UTC).replace(microsecond=123_000)
IDS = [f"00000000-0000-4000-8000-{number:012}" for number in range(6)]

TOLD: dict[str, Any] = {
    "userId": "u-1",
    "videoId": "v:1",
    "interactionType": "RATE",
    "watchTime": 12.25,
    "timestamp": TIME.isoformat(),
    "feedSessionId": "s.1",
    "recommendationId": "r_1",
    "position": 7,
    "algorithm": "lightfm-warp",
    "recommendationScore": -0.125,
    "modelVersion": "m-2025-09-01",
    "experiments": [{"experiment": "ranker", "variant": "b"}, {"experiment": "page", "variant": "a"}],
    "rating": 8.5,
    "servedToken": "token",
    "metadata": {"screen": "feed", "größe": '☃ "quoted"\\'},
}
ROW = {
    "user_id": "u-1",
    "video_id": "v:1",
    "interaction_type": "RATE",
    "watch_time_s": 12.25,
    "event_time": TIME,
    "feed_session_id": "s.1",
    "recommendation_id": "r_1",
    "position": 7,
    "algorithm": "lightfm-warp",
    "model_version": "m-2025-09-01",
    "recommendation_score": -0.125,
    "experiments": TOLD["experiments"],
    "rating": 8.5,
    "served_token": "token",
    "metadata": TOLD["metadata"],
}


def told(event_id: str) -> pb.Interaction:
    made = message(
        event_id=event_id,
        user_id="u-1",
        video_id="v:1",
        interaction_type=pb.RATE,
        watch_time_s=12.25,
        feed_session_id="s.1",
        recommendation_id="r_1",
        position=7,
        algorithm="lightfm-warp",
        recommendation_score=-0.125,
        model_version="m-2025-09-01",
        experiments=[common_pb2.ExperimentAssignment(**each) for each in TOLD["experiments"]],
        rating=8.5,
        served_token="token",
        metadata=TOLD["metadata"],
    )
    made.timestamp.FromDatetime(TIME)
    return made


async def send_through_every_door(ingest: Ingest) -> None:
    await ingest.one(told(IDS[0]))
    await ingest.batch(told(IDS[1]))
    await ingest.stream(told(IDS[2]))
    await ingest.post(event(**TOLD, eventId=IDS[3]))
    await ingest.post({"interactions": [event(**TOLD, eventId=IDS[4])]})
    await ingest.post(event(**TOLD, eventId=IDS[5]), {"content-type": "text/plain"}, "/api/track")


async def test_all_that_a_client_tells_is_in_the_table(tmp_path: Path, database_url: str) -> None:
    given: dict[str, Any] = {"data_dir": tmp_path, "database_url": database_url}
    database = Database(database_url)
    columns = [user_interactions.c[name] for name in ("event_id", *ROW)]

    async def rows() -> list[dict[str, Any]]:
        async with database.read() as connection:
            found = await connection.execute(sa.select(*columns).order_by(user_interactions.c.event_id))
            return [dict(row) for row in found.mappings()]

    async with (
        running(tmp_path) as ingest,
        Service("sink", interactions.sink.app.build(SinkSettings(**given)), grpc_port=None),
    ):
        await send_through_every_door(ingest)
        await until(rows, [{"event_id": event_id} | ROW for event_id in IDS])
    await database.close()
