"""People who scroll and watch in the whole system, one request after the other, while something is done to it."""

import random
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from http.client import HTTPException

import grpc
import sqlalchemy as sa

from feed.recommendations.v1 import recommendations_pb2 as pb
from storage.database import reading
from storage.tables import user_interactions
from tests.http import post_json
from tests.system import System

_PAUSE_S = 0.005


class Scroller:
    """Asks for pages of many users, one after the other; the model knows them all."""

    def __init__(self, system: System, users: int) -> None:
        self._system = system
        self._users = users
        self.sources: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.late = 0

    def step(self) -> None:
        try:
            page = self._system.page(f"u{random.randint(1, self._users)}")
        except grpc.RpcError as error:
            self.wrong.append(str(error))
            return
        self.sources[pb.Source.Name(page.source)] += 1
        self.late += page.budget_left_ms <= 0
        if len({each.video_id for each in page.recommendations}) != 20:
            self.wrong.append(f"{len(page.recommendations)} videos")


class Watcher:
    """Posts events, and posts one again, as a phone does, until it is acknowledged."""

    def __init__(self, system: System) -> None:
        self._port = system.http_port("interactions")
        self._pending: list[dict[str, object]] = []
        self.acknowledged: set[str] = set()

    def step(self) -> None:
        self._pending = self._pending or [_event() for _ in range(5)]
        try:
            answer = post_json(self._port, "/feed/interactions", {"interactions": self._pending})
        except (OSError, HTTPException):  # killed before, or in the midst of its answer
            return
        if answer.status == 200:
            self.acknowledged |= {each["eventId"] for each in answer.json["results"] if each["status"] != "REJECTED"}
            self._pending = []


def _event() -> dict[str, object]:
    return {
        "eventId": str(uuid.uuid4()),
        "userId": f"chaos-{random.randint(1, 50)}",
        "videoId": f"v{random.randint(1, 1000)}",
        "interactionType": "VIEW",
        "watchTime": 3.5,
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }


@contextmanager
def at_it(steps: Sequence[Callable[[], None]]) -> Iterator[threading.Event]:
    """Repeats each step in a thread of its own until the block ends; gives the event that ends it."""
    stopped = threading.Event()

    def repeat(step: Callable[[], None]) -> None:
        while not stopped.wait(_PAUSE_S):
            step()

    threads = [threading.Thread(target=repeat, args=(step,)) for step in steps]
    for thread in threads:
        thread.start()
    try:
        yield stopped
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


def stored(engine: sa.Engine) -> set[str]:
    """Returns the ids of the events of watchers; `event_id` is unique, so each is there once."""
    columns = user_interactions.c
    with reading(engine) as connection:
        return set(connection.scalars(sa.select(columns.event_id).where(columns.user_id.like("chaos-%"))))
