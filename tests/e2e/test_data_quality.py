"""Every answered page is told once, and every event whole: over a whole run, embedded and real (issue 8, item 2)."""

import asyncio
import os
import re
import signal
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pytest

from eventlog.history import history
from eventlog.opening import open_publisher
from eventlog.ports import Record
from eventlog.topics import SERVED
from feed.recommendations.v1 import recommendations_pb2 as pb
from runtime.settings import CommonSettings, load
from tests.conftest import SYSTEMS, running_system
from tests.http import call_now, post_json
from tests.polling import wait_for
from tests.system import System

WORKERS = 2
ANSWERED = re.compile(
    r'^feed_bridge_requests_total\{worker="(\d)",fallback_reason="(\w+)",source="(\w+)"\} (\S+)$', re.MULTILINE
)
COPIES = "copies of their records"
BOOKS = ("pages answered by the bridges", f"pages on {SERVED}", "pages in the database", "pages on the ledger")


@pytest.fixture(scope="module", params=SYSTEMS)
def system(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A whole system of its own, with several bridges: what others ask and kill would be in its books."""
    with running_system(request, tmp_path_factory, FEED_BRIDGE_WORKERS=f"{WORKERS}") as made:
        yield made


class Reader:
    """Somebody who asks for pages by both doors, and counts them by their source."""

    def __init__(self, system: System) -> None:
        self._system = system
        self.pages: Counter[str] = Counter()

    def page(self, user_id: str, **fields: Any) -> pb.GetRecommendationsResponse:
        found = self._system.page(user_id, **fields)
        self.pages[pb.Source.Name(found.source)] += 1
        return found

    def over_rest(self, user_id: str) -> Any:
        path = f"/feed/recommendations?userId={user_id}&pageSize=5"
        answer = call_now(self._system.http_port("bridge"), "GET", path)
        assert answer.status == 200
        self.pages[answer.json["source"]] += 1
        return answer.json

    def until_personal(self) -> None:
        wait_for(lambda: self.page("u1"), lambda page: page.source == pb.LIGHTFM)


def acted(user_id: str, page: pb.GetRecommendationsResponse, place: int, kind: str) -> dict[str, Any]:
    shown = page.recommendations[place]
    return {
        "eventId": str(uuid.uuid4()),
        "userId": user_id,
        "videoId": shown.video_id,
        "interactionType": kind,
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "recommendationId": page.recommendation_id,
        "servedToken": shown.served_token,
    }


def answered(system: System) -> dict[tuple[str, str], int]:
    """How many pages each worker answered from each source."""
    text = call_now(system.http_port("bridge"), "GET", "/metrics").text
    counts: Counter[tuple[str, str]] = Counter()
    for worker, _, source, count in ANSWERED.findall(text):
        counts[worker, source] += int(float(count))
    return +counts


def told(output: str) -> dict[str, int]:
    """The numbers that the check prints, by what they are of."""
    found = (line.rsplit(maxsplit=1) for line in output.splitlines() if not line.startswith(("WRONG", "not compared")))
    return {name: int(count.replace(",", "")) for name, count in found}


def test_every_answered_page_is_told_once_and_whole(system: System):
    reader = Reader(system)
    reader.until_personal()
    # By what did it, and on several pages: grpc keeps its connection, so REST is what reaches every worker.
    for number in range(4):
        page = reader.page(f"u{number}")
        reader.page(f"u{number}", page_token=page.next_page_token)
    reader.page("nobody-has-seen-me")
    wait_for(
        lambda: reader.over_rest(f"passer-by-{uuid.uuid4()}") and {worker for worker, _ in answered(system)},
        lambda workers: len(workers) == WORKERS,
    )
    os.kill(system.pid("scorer"), signal.SIGKILL)
    # Users who were shown nothing yet: what trends is not used up for them.
    fallen_back = [reader.page(f"u{number}") for number in range(10, 13)]
    assert {each.source for each in fallen_back} == {pb.TRENDING}
    reader.until_personal()
    events = [
        *(acted("u1", reader.page("u1"), place, kind) for place, kind in enumerate(("VIEW", "LIKE", "SKIP"))),
        acted("u10", fallen_back[0], 0, "SHARE"),
    ]
    answer = post_json(system.http_port("interactions"), "/feed/interactions", {"interactions": events})
    assert {each["status"] for each in answer.json["results"]} == {"ACCEPTED"}

    # Three of the events consume something; what may wait for its page is not looked at for some seconds.
    result = wait_for(
        lambda: system.feed("insights", "check"),
        lambda found: found.returncode != 0 or told(found.stdout)["consumed events looked at"] == 3,
        bound_s=120,
    )

    assert result.returncode == 0, result.stdout + result.stderr
    assert {told(result.stdout)[name] for name in BOOKS} == {reader.pages.total()}
    assert told(result.stdout)["served pages looked at"] == reader.pages.total()
    by_source: Counter[str] = Counter()
    for (_, source), count in answered(system).items():
        by_source[source] += count
    assert by_source == reader.pages
    assert "not compared" not in result.stdout


def test_a_copy_of_a_record_counts_once_and_another_one_is_found(system: System):
    """Who is not sure whether the log has a record sends it again: on a busy machine there are copies anyway."""
    settings = load(CommonSettings, {**system.environ, **system.servers()})
    (first,) = islice(history(settings, SERVED, "feed-insights-check"), 1)
    before = told(system.feed("insights", "check").stdout)
    asyncio.run(publish(settings, first.key, first.value))
    result = system.feed("insights", "check")
    assert (result.returncode, told(result.stdout)) == (0, {**before, COPIES: before[COPIES] + 1})

    asyncio.run(publish(settings, first.key, first.value.replace(b'"attempts":', b'"attempts":1')))
    result = system.feed("insights", "check")
    assert result.returncode == 1
    assert re.search(r"^WRONG: 1 page \(\S+\) is on the log with different records$", result.stdout, re.MULTILINE)


async def publish(settings: CommonSettings, key: str, value: bytes) -> None:
    publisher = open_publisher(settings, topics=(SERVED,))
    await publisher.start()
    (outcome,) = await publisher.publish_many([Record(SERVED, key, value)])
    await publisher.close()
    assert not isinstance(outcome, Exception)
