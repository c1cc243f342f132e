"""`POST /api/track`: the same as `/feed/interactions`, for pages: text from a beacon, and CORS for named origins."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.http import Answer, call
from tests.integration.interactions.ingesting import ID, JSON, Ingest, event, running

TRACK = "/api/track"
OURS = "https://app.example"
BEACON = {"content-type": "text/plain;charset=UTF-8"}


@pytest.fixture
async def tracked(tmp_path: Path) -> AsyncIterator[Ingest]:
    async with running(tmp_path, interactions_cors_origins=f"{OURS},http://localhost:3000") as found:
        yield found


async def preflight(ingest: Ingest, origin: str, headers: str = "content-type") -> Answer:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": headers}
    return await call(ingest.service.http_port, "OPTIONS", TRACK, None, {"origin": origin} | asked)


@pytest.mark.parametrize("headers", [pytest.param(JSON, id="json"), pytest.param(BEACON, id="beacon")])
async def test_one_event(ingest: Ingest, headers: dict[str, str]) -> None:
    answer = await ingest.post(event(eventId=ID), headers, TRACK)

    assert (answer.status, answer.json) == (
        200,
        {"result": {"eventId": ID, "status": "ACCEPTED"}, "durability": "JOURNAL"},
    )
    assert [stored["eventId"] for stored in ingest.stored()] == [ID]


async def test_several_events(ingest: Ingest) -> None:
    answer = await ingest.post({"interactions": [event(eventId=ID), event(eventId=ID), {}]}, BEACON, TRACK)

    assert [each["status"] for each in answer.json["results"]] == ["ACCEPTED", "DUPLICATE", "REJECTED"]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        pytest.param(b"{}", BEACON, 422, id="an empty event"),
        pytest.param(b"{", BEACON, 400, id="malformed"),
        pytest.param(b"{}", {"content-type": "application/x-www-form-urlencoded"}, 415, id="a form"),
        pytest.param(b"{}", {}, 415, id="no content type"),
        pytest.param(b" " * 65_537, BEACON, 413, id="more than 64 KiB"),
    ],
)
async def test_what_it_does_not_take(ingest: Ingest, body: bytes, headers: dict[str, str], status: int) -> None:
    answer = await ingest.post(body, headers, TRACK)

    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert ingest.stored() == []


@pytest.mark.parametrize("origin", [OURS, "http://localhost:3000"])
async def test_a_named_origin_may_call(tracked: Ingest, origin: str) -> None:
    asked = await preflight(tracked, origin, "content-type, traceparent")
    answer = await tracked.post(event(), JSON | {"origin": origin}, TRACK)

    assert (asked.status, answer.status) == (200, 200)
    assert "POST" in asked.headers["access-control-allow-methods"]
    for each in (asked, answer):
        assert each.headers["access-control-allow-origin"] == origin
        # A beacon is always sent with credentials, and a browser then wants to hear this.
        assert each.headers["access-control-allow-credentials"] == "true"


async def test_a_page_can_read_why_it_was_refused(tracked: Ingest) -> None:
    answer = await tracked.post(b"{}", JSON | {"origin": OURS}, TRACK)

    assert (answer.status, answer.headers["access-control-allow-origin"]) == (422, OURS)


@pytest.mark.parametrize("origin", ["https://evil.example", "https://app.example.evil.example", "null", f"{OURS}:444"])
async def test_another_origin_may_not(tracked: Ingest, origin: str) -> None:
    asked = await preflight(tracked, origin)

    assert asked.status == 400
    assert "access-control-allow-origin" not in asked.headers


async def test_a_header_that_is_not_needed_is_not_allowed(tracked: Ingest) -> None:
    assert (await preflight(tracked, OURS, "x-anything")).status == 400


async def test_without_named_origins_there_is_no_leave(ingest: Ingest) -> None:
    asked = await preflight(ingest, OURS)
    answer = await ingest.post(event(), JSON | {"origin": OURS}, TRACK)

    assert (asked.status, answer.status) == (405, 200)
    for each in (asked, answer):
        assert "access-control-allow-origin" not in each.headers


async def test_options_without_a_preflight_is_no_method(tracked: Ingest) -> None:
    answer = await call(tracked.service.http_port, "OPTIONS", TRACK)

    assert (answer.status, answer.json["reason"]) == (405, "METHOD_NOT_ALLOWED")


async def test_apps_route_gives_no_leave(tracked: Ingest) -> None:
    answer = await tracked.post(event(), JSON | {"origin": OURS})

    assert answer.status == 200
    assert "access-control-allow-origin" not in answer.headers
