"""Corrections over gRPC and REST, on SQLite and PostgreSQL: made, listed, switched off, and what came of them."""

import json
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import grpc
import pytest
import sqlalchemy as sa

from feed.insights.v1 import corrections_pb2 as pb
from feed.insights.v1.corrections_pb2_grpc import CorrectionServiceStub
from insights.adapters.corrections_database import DatabaseCorrections
from insights.domain.corrections import Period
from insights.ports import CorrectionEffect
from interactions.domain.event import InteractionType
from runtime.process import Service
from storage import audit, corrections
from storage.audit import Action, Actor, Door
from storage.correction_rules import Rule
from storage.database import Database
from storage.tables import UtcDateTime, videos
from tests.http import Answer, call
from tests.integration.insights.books import BEGIN, Books, event, page

ADMIN = Actor("ann", Door.CLI)
BLOCK = {"correctionType": "BLOCK", "videoId": "v1", "reason": "spam", "adminId": "ann"}
ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
async def stub(running: Service) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{running.grpc_port}") as channel:
        yield CorrectionServiceStub(channel)


async def post(running: Service, path: str, payload: Any) -> Answer:
    headers = {"content-type": "application/json"}
    return await call(running.http_port, "POST", path, json.dumps(payload).encode(), headers)


async def create(running: Service, **fields: Any) -> Any:
    answer = await post(running, "/feed/corrections", {**BLOCK, **fields})
    assert answer.status == 200, answer.text
    return answer.json["correction"]


async def changes(database: Database) -> list[tuple[str, Action, Actor]]:
    async with database.read() as connection:
        found = await audit.list_newest(connection, 10)
    return [(each.change.subject_id, each.change.action, each.change.actor) for each in found]


async def test_a_correction_is_made_listed_and_switched_off_over_rest(running: Service, database: Database) -> None:
    made = await create(running)
    assert {name: made[name] for name in (*BLOCK, "userId", "correctionValue", "isActive")} == {
        **BLOCK, "userId": "", "correctionValue": 0.0, "isActive": True,
    }  # fmt: skip
    listed = await call(running.http_port, "GET", "/feed/corrections")
    assert listed.json == {"corrections": [made], "nextPageToken": ""}
    path = f"/feed/corrections/{made['correctionId']}/deactivate"
    for _ in range(2):
        off = await post(running, path, {"adminId": "bob"})
        assert (off.status, off.json) == (200, {"correction": {**made, "isActive": False}})
    assert (await call(running.http_port, "GET", "/feed/corrections")).json["corrections"] == []
    everything = await call(running.http_port, "GET", "/feed/corrections?includeInactive=true")
    assert everything.json["corrections"] == [{**made, "isActive": False}]
    assert await changes(database) == [
        (made["correctionId"], Action.DEACTIVATED, Actor("bob", Door.REST)),
        (made["correctionId"], Action.CREATED, Actor("ann", Door.REST)),
    ]


async def test_the_same_over_grpc(stub: Any, database: Database) -> None:
    asked = pb.Correction(
        user_id="u1", correction_type=pb.BOOST, target_factor="tag", target_value="cats", correction_value=2.5,
        reason="spring", admin_id="ann",
    )  # fmt: skip
    made = (await stub.CreateCorrection(pb.CreateCorrectionRequest(correction=asked))).correction
    kept = pb.Correction()
    kept.CopyFrom(made)
    for name in ("correction_id", "is_active", "created_time"):
        kept.ClearField(name)
    assert kept == asked
    assert list((await stub.ListCorrections(pb.ListCorrectionsRequest())).corrections) == [made]
    wanted = pb.DeactivateCorrectionRequest(correction_id=made.correction_id, admin_id="bob")
    off = (await stub.DeactivateCorrection(wanted)).correction
    assert (off.correction_id, off.is_active) == (made.correction_id, False)
    assert [(action, actor) for _, action, actor in await changes(database)] == [
        (Action.DEACTIVATED, Actor("bob", Door.GRPC)),
        (Action.CREATED, Actor("ann", Door.GRPC)),
    ]


async def test_pages_neither_repeat_nor_skip_while_others_are_made(running: Service) -> None:
    made = [(await create(running, videoId=f"v{number}"))["correctionId"] for number in range(5)]
    found: list[str] = []
    token = ""
    for asked in range(3):
        answer = await call(running.http_port, "GET", f"/feed/corrections?pageSize=2&pageToken={token}")
        found += [each["correctionId"] for each in answer.json["corrections"]]
        token = answer.json["nextPageToken"]
        await create(running, videoId=f"new-{asked}")
    assert (found, token) == (made[::-1], "")


LONG = "x" * 1_001
ID_TEXT = "must be 1 to 128 characters of A-Z a-z 0-9 _ . : -"


@ON_SQLITE
@pytest.mark.parametrize(
    ("fields", "status", "field", "reason"),
    [
        ({"correctionType": "PRAISE"}, 422, "correctionType", "must be one of BOOST, REDUCE, BLOCK, REWEIGHT"),
        ({"videoId": "a b"}, 422, "videoId", ID_TEXT),
        ({"videoId": None}, 422, "videoId", "name a video, or an author, tag or language"),
        ({"reason": LONG}, 422, "reason", "must be at most 1000 characters"),
        ({"adminId": ""}, 422, "adminId", "must be at least 1 character"),
        ({"correctionType": "BOOST"}, 422, "correctionValue", "must not be 0"),
        ({"correctionValue": 101}, 422, "correctionValue", "must be greater than or equal to -100 and less than"),
        ({"targetFactor": "colour"}, 422, "targetFactor", "must be one of author, tag, language for BLOCK"),
        ({"targetFactor": "tag", "targetValue": "a\0"}, 422, "targetValue", "must not hold a NUL"),
        ({"reason": "a\0"}, 422, "reason", "must not hold a NUL"),
        ({"correctionId": "mine"}, 400, "body", "Object contains unknown field `correctionId`"),
        ({"videoId": 7}, 400, "body", "Expected `str | null`, got `int`"),
    ],
)
async def test_what_makes_no_sense_is_refused_by_field(
    running: Service, database: Database, fields: Any, status: int, field: str, reason: str
) -> None:
    answer = await post(running, "/feed/corrections", {**BLOCK, **fields})
    (violation,) = answer.json["violations"]
    assert (answer.status, violation["field"]) == (status, field)
    assert violation["reason"].startswith(reason)
    assert await changes(database) == []


@ON_SQLITE
async def test_grpc_names_the_field_by_its_path(stub: Any) -> None:
    asked = pb.CreateCorrectionRequest(correction=pb.Correction(correction_type=pb.BLOCK, reason="why", admin_id="ann"))
    with pytest.raises(grpc.aio.AioRpcError, match=r"correction\.videoId: name a video") as caught:
        await stub.CreateCorrection(asked)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


@ON_SQLITE
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("pageSize=101", "pageSize"),
        ("pageSize=-1", "pageSize"),
        ("pageSize=9999999999", "pageSize"),
        ("pageSize=1&pageSize=2", "pageSize"),
        ("includeInactive=yes", "includeInactive"),
        ("pageToken=nobodys", "pageToken"),
        ("user=u1", "user"),
    ],
)
async def test_a_wrong_question_is_refused_by_field(running: Service, query: str, field: str) -> None:
    answer = await call(running.http_port, "GET", f"/feed/corrections?{query}")
    assert (answer.status, [each["field"] for each in answer.json["violations"]]) == (400, [field])


@ON_SQLITE
async def test_a_token_belongs_to_the_list_it_is_of(running: Service) -> None:
    for _ in range(2):
        await create(running)
    token = (await call(running.http_port, "GET", "/feed/corrections?pageSize=1")).json["nextPageToken"]
    answer = await call(running.http_port, "GET", f"/feed/corrections?pageToken={token}&includeInactive=true")
    assert (answer.status, answer.json["violations"][0]["field"]) == (400, "pageToken")


@ON_SQLITE
async def test_what_is_not_there_is_not_found(running: Service, stub: Any) -> None:
    effect = await call(running.http_port, "GET", "/feed/corrections/none/effect")
    off = await post(running, "/feed/corrections/none/deactivate", {"adminId": "ann"})
    assert [(each.status, each.json["detail"]) for each in (effect, off)] == [
        (404, "correctionId: there is no correction none")
    ] * 2
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.GetCorrectionEffect(pb.GetCorrectionEffectRequest(correction_id="none"))
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


HOUR = timedelta(hours=1)
CATALOGUE: Sequence[tuple[str, str, list[str], str]] = (
    ("v1", "ann", ["cats", "fun"], "de-AT"),
    ("v2", "ann", ["dogs"], "en"),
    ("v3", "bob", [], "DE-at"),
)


async def put_videos(database: Database) -> None:
    names = ("video_id", "author_id", "tags", "language")
    rows = [{**dict(zip(names, each, strict=True)), "is_active": True} for each in CATALOGUE]
    async with database.begin() as connection:
        await connection.execute(sa.insert(videos), rows)


async def make(database: Database, rule: Rule) -> str:
    async with database.begin() as connection:
        return (await corrections.create(connection, rule, reason="why", admin=ADMIN, now=BEGIN)).correction_id


async def effect_of(database: Database, correction_id: str, now: datetime, window: timedelta) -> CorrectionEffect:
    found = await DatabaseCorrections(database, database, lambda: now).effect(correction_id, window)
    assert found is not None
    return found


def counts(effect: CorrectionEffect) -> list[tuple[int, int, int, int]]:
    return [(each.served, each.accepted, each.hidden, each.pending) for each in (effect.before, effect.since)]


async def serve(books: Books) -> None:
    """Five pages around `BEGIN`: of u1 three hours and one hour before and at it, of u2 an hour on each side."""
    every = ["v1", "v2", "v3"]
    await books.serve(
        page("old", every, BEGIN - 3 * HOUR),
        page("before", every, BEGIN - HOUR),
        page("at", every, BEGIN),
        page("other-before", every, BEGIN - HOUR, userId="u2"),
        page("other-after", every, BEGIN + HOUR, userId="u2"),
    )
    like, hide = InteractionType("LIKE"), InteractionType("HIDE")
    await books.act(
        event(like, BEGIN, recommendation_id="old"),
        event(like, BEGIN, recommendation_id="before"),
        event(hide, BEGIN, recommendation_id="before", video_id="v2"),
        event(hide, BEGIN, recommendation_id="at"),
        event(like, BEGIN + HOUR, recommendation_id="other-after", video_id="v3", user_id="u2"),
    )
    books.time = BEGIN + 2 * HOUR
    await books.keep()


# By rule: served, accepted, hidden and pending before and since, two hours each.
EFFECTS: Sequence[tuple[Rule, list[tuple[int, int, int, int]]]] = [
    (Rule("BLOCK", video_id="v1"), [(2, 1, 0, 1), (2, 0, 1, 1)]),
    (Rule("BLOCK", "u1", "v1"), [(1, 1, 0, 0), (1, 0, 1, 0)]),
    (Rule("REDUCE", target_factor="author", target_value="ann", value=1.0), [(4, 1, 1, 2), (4, 0, 1, 3)]),
    (Rule("BOOST", target_factor="tag", target_value="cats", value=1.0), [(2, 1, 0, 1), (2, 0, 1, 1)]),
    (Rule("BOOST", target_factor="language", target_value="de-at", value=1.0), [(4, 1, 0, 3), (4, 1, 1, 2)]),
    (Rule("BOOST", "", "v3", "", "author", "ann", 1.0), [(0, 0, 0, 0), (0, 0, 0, 0)]),
    (Rule("BLOCK", video_id="v1", media_type="book"), [(0, 0, 0, 0), (0, 0, 0, 0)]),
    (Rule("REWEIGHT", "u2", target_factor="prior", value=0.0), [(3, 0, 0, 3), (3, 1, 0, 2)]),
    (Rule("REWEIGHT", target_factor="prior", value=0.0), [(6, 1, 1, 4), (6, 1, 1, 4)]),
]


@pytest.mark.parametrize(("rule", "expected"), EFFECTS, ids=[str(number) for number in range(len(EFFECTS))])
async def test_the_effect_is_what_became_of_what_it_is_about(
    books: Books, rule: Rule, expected: list[tuple[int, int, int, int]]
) -> None:
    await put_videos(books.database)
    await serve(books)
    made = await make(books.database, rule)
    effect = await effect_of(books.database, made, BEGIN + 2 * HOUR, timedelta(days=7))
    assert counts(effect) == expected
    assert (effect.before.period, effect.since.period) == (
        Period(BEGIN - 2 * HOUR, BEGIN),
        Period(BEGIN, BEGIN + 2 * HOUR),
    )


# What a plain query says of a time: served, accepted, hidden and pending.
PLAIN = """
SELECT count(*), sum(CASE WHEN o.status_after = 'accepted' THEN 1 ELSE 0 END),
 sum(CASE WHEN o.user_action IN ('hidden', 'blacklisted') THEN 1 ELSE 0 END),
 sum(CASE WHEN o.user_action = 'pending' THEN 1 ELSE 0 END)
FROM recommendation_decisions d JOIN prediction_outcomes o
 ON o.recommendation_id = d.recommendation_id AND o.position = d.position
WHERE d.created_at >= :first AND d.created_at < :end AND {meant}
"""
EVEN = (
    Rule("BOOST", target_factor="tag", target_value="even", value=1.0),
    "CAST(substr(d.video_id, 2) AS INTEGER) % 2 = 0",
)
OF_USER = (Rule("REWEIGHT", "u1", target_factor="prior", value=0.5), "d.user_id = 'u1'")
OF_VIDEO = (Rule("BLOCK", video_id="v14"), "d.video_id = 'v14'")
MANY = 300
PAGES = 900


async def serve_many(books: Books) -> None:
    """A page of ten a minute around `BEGIN`, of 300 videos; of the earlier half every fifth is hidden, of the later one
    every third liked.
    """
    async with books.database.begin() as connection:
        rows = [
            {"video_id": f"v{number}", "tags": ["even"] if number % 2 == 0 else ["odd"], "is_active": True}
            for number in range(MANY * 2)
        ]
        await connection.execute(sa.insert(videos), rows)
    for begun in range(-PAGES // 2, PAGES // 2, 50):
        served, acted = [], []
        for number in range(begun, begun + 50):
            time, shown = BEGIN + timedelta(minutes=number), [f"v{(number * 7 + place) % MANY}" for place in range(10)]
            served.append(page(f"r{number}", shown, time))
            kind, every = (InteractionType.HIDE, 5) if number < 0 else (InteractionType.LIKE, 3)
            acted += [
                event(kind, time, recommendation_id=f"r{number}", video_id=video_id)
                for place, video_id in enumerate(shown)
                if (number + place) % every == 0
            ]
        await books.serve(*served)
        await books.act(*acted)
        await books.keep()


async def plain(books: Books, meant: str, period: Period) -> tuple[int, ...]:
    times = [sa.bindparam(name, time, UtcDateTime()) for name, time in zip(("first", "end"), period, strict=True)]
    async with books.database.read() as connection:
        return tuple((await connection.execute(sa.text(PLAIN.format(meant=meant)).bindparams(*times))).one())


async def test_the_effect_on_very_many_is_told_by_parts_of_the_time(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    await serve_many(books)
    now, day = BEGIN + timedelta(minutes=PAGES // 2), timedelta(days=1)
    monkeypatch.setattr("insights.domain.corrections.LOOKED_AT", 10_000)
    for rule, meant in (EVEN, OF_USER, OF_VIDEO):
        made = await make(books.database, rule)
        whole = await effect_of(books.database, made, now, day)
        truth = [await plain(books, meant, each.period) for each in (whole.before, whole.since)]
        assert (whole.one_in, counts(whole)) == (1, truth)

        with monkeypatch.context() as patched:
            patched.setattr("insights.domain.corrections.LOOKED_AT", 600)
            some = await effect_of(books.database, made, now, day)

        assert (some.before.period, some.since.period) == (whole.before.period, whole.since.period)
        if rule.video_id:  # of few all are looked at, however many others were served
            assert some == whole
            continue
        assert some.one_in > 4
        for part, everything in zip(counts(some), truth, strict=True):
            assert part[0] * some.one_in == pytest.approx(everything[0], rel=0.25)
            assert [each / part[0] for each in part[1:]] == pytest.approx(
                [each / everything[0] for each in everything[1:]], abs=0.08
            )


async def test_the_effect_ends_with_the_window_and_with_the_correction(books: Books) -> None:
    await put_videos(books.database)
    await serve(books)
    made = await make(books.database, Rule("BLOCK", video_id="v1"))
    short = await effect_of(books.database, made, BEGIN + 4 * HOUR, HOUR)
    long = await effect_of(books.database, made, BEGIN + 4 * HOUR, 4 * HOUR)
    assert [each.served for each in (short.before, short.since, long.before, long.since)] == [2, 1, 3, 2]
    async with books.database.begin() as connection:
        await corrections.deactivate(connection, made, admin=ADMIN, now=BEGIN + HOUR / 2)
    ended = await effect_of(books.database, made, BEGIN + 4 * HOUR, 4 * HOUR)
    assert (ended.since.period.end, counts(ended)) == (BEGIN + HOUR / 2, [(0, 0, 0, 0), (1, 0, 1, 0)])


async def test_the_effect_is_told_by_both_doors(running: Service, stub: Any) -> None:
    made = await create(running)
    asked = pb.GetCorrectionEffectRequest(correction_id=made["correctionId"], window_h=1)
    over_grpc = await stub.GetCorrectionEffect(asked)
    path = f"/feed/corrections/{made['correctionId']}/effect"
    over_rest = (await call(running.http_port, "GET", f"{path}?windowH=1")).json
    assert over_rest["correction"] == made
    assert {name: over_rest["since"][name] for name in ("served", "accepted", "hidden", "pending")} == dict.fromkeys(
        ("served", "accepted", "hidden", "pending"), "0"
    )
    assert (over_rest["oneIn"], over_grpc.one_in) == (1, 1)
    assert over_grpc.since.from_time == over_grpc.before.until_time == over_grpc.correction.created_time
    assert (await call(running.http_port, "GET", f"{path}?windowH=721")).status == 400


@pytest.mark.parametrize("database_url", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
async def test_an_effect_that_takes_long_is_given_up(running: Service, books: Books) -> None:
    made = await create(running)
    async with books.database.begin() as connection:
        await connection.execute(sa.text("LOCK TABLE recommendation_decisions IN ACCESS EXCLUSIVE MODE"))
        answer = await call(running.http_port, "GET", f"/feed/corrections/{made['correctionId']}/effect")
    assert (answer.status, answer.json["reason"]) == (503, "UNAVAILABLE")
    assert answer.json["detail"].endswith("; a shorter windowH takes less time")
