"""The pages of corrections and explanations, in a browser on real rows; their figures are those of plain SQL."""

import asyncio
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
import sqlalchemy as sa

from insights.page.text import NOTHING
from interactions.domain.event import InteractionType
from runtime.process import Service
from storage import corrections
from storage.audit import Actor, Door
from storage.correction_rules import Rule
from storage.database import Database
from tests.browser import Browser, Page, needed_chromium
from tests.integration.insights.books import Books, event, page
from tests.polling import until, wait_for

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

NOW: Final = datetime.now(UTC).replace(microsecond=0)
HOUR: Final = timedelta(hours=1)
LIKE, HIDE, RATE = (InteractionType(name) for name in ("LIKE", "HIDE", "RATE"))
# What the cells of a table say, its head left out.
CELLS: Final = (
    "Array.from(document.querySelectorAll('#{} tbody tr'), (row) => Array.from(row.cells, (cell) => cell.innerText))"
)

# A page whose database does not answer in time, as on a busy machine, tries again by itself.
THERE: Final = "document.readyState === 'complete' && !document.title.startsWith('The database cannot be used')"


class Visitor:
    """Somebody in front of a browser: what he does waits in a thread, while the process answers in the loop."""

    def __init__(self, page_: Page, port: int) -> None:
        self.page = page_
        self._site = f"http://127.0.0.1:{port}"

    async def go(self, path: str) -> None:
        await asyncio.to_thread(self.page.go, self._site + path)
        await self._until(THERE)

    async def run(self, script: str) -> Any:
        return await asyncio.to_thread(self.page.run, script)

    async def text(self) -> str:
        return str(await self.run("document.body.innerText"))

    async def cells(self, table: str) -> list[list[str]]:
        found: list[list[str]] = await self.run(CELLS.format(table))
        return found

    async def fill(self, fields: Mapping[str, str], button: str = "main form button") -> None:
        """Fills a form in, sends it and waits for what comes of it."""
        for name, value in fields.items():
            await self.run(f"document.getElementById({name!r}).value = {value!r}")
        await self.run("window.isOld = true")
        await asyncio.to_thread(self.page.click, button)
        await self._until(f"!window.isOld && {THERE}")

    async def _until(self, script: str) -> None:
        await asyncio.to_thread(wait_for, lambda: self.page.run(script), bool)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all."""
    with Browser(needed_chromium(), tmp_path_factory.mktemp("browser") / "profile") as found:
        yield found


@pytest.fixture
async def visitor(browser: Browser, running: Service) -> Visitor:
    tab = await asyncio.to_thread(browser.open, "about:blank")
    await asyncio.to_thread(tab.listen)
    return Visitor(tab, running.http_port)


@pytest.fixture
async def books(database: Database) -> Books:
    """Two pages an hour before a correction is made, one since; what was done with them is on the ledger."""
    made = Books(database)
    await made.keep()
    every = ["v1", "v2"]
    parts = {"user_item": [1.5, 0.5], "user_bias": [0.0, 0.0], "prior": [0.5, 0.25]}
    await made.serve(
        page("r1", every, NOW - 2 * HOUR, scoreParts=parts, scores=[2.0, 0.75], explored=[1], propensities=[0.05]),
        page("r2", every, NOW - 2 * HOUR, userId="u2", source="TRENDING", fallbackReason="DEADLINE", modelVersion=""),
        page("r3", every, NOW - HOUR / 2, experiments=[{"experiment": "calm", "variant": "b"}],
             filtersApplied={"languages": ["de", "en"], "excludeVideos": 3}, removed={"seen": 212}),
    )  # fmt: skip
    await made.act(
        event(LIKE, NOW - HOUR), event(HIDE, NOW, recommendation_id="r3"),
        event(RATE, NOW, recommendation_id="r3", video_id="v2", rating=8.0, watch_time=12.5),
    )  # fmt: skip

    async def on_ledger() -> int:
        return (await made.state()).by_outcome.get("pending", 0)

    made.time = NOW
    await made.keep()
    await until(on_ledger, 3)
    return made


async def make(database: Database, rule: Rule, time: datetime) -> str:
    async with database.begin() as connection:
        admin = Actor("ann", Door.CLI)
        return (await corrections.create(connection, rule, reason="why", admin=admin, now=time)).correction_id


async def sql(database: Database, text: str, **values: object) -> list[list[Any]]:
    async with database.read() as connection:
        return [list(row) for row in await connection.execute(sa.text(text), values)]


async def test_a_correction_is_made_in_a_form_that_says_what_is_wrong(visitor: Visitor, database: Database) -> None:
    await visitor.go("/corrections")
    assert "There are none." in await visitor.text()
    await visitor.go("/corrections/new")
    given = {
        "correctionType": "BOOST",
        "targetFactor": "tag",
        "targetValue": "cats",
        "reason": "spring",
        "adminId": "a",
    }
    await visitor.fill(given)
    assert await visitor.run("document.getElementById('correctionValue-error').innerText") == (
        "must not be 0, which changes nothing"
    )
    kept = await visitor.run(f"{list(given)!r}.map((name) => document.getElementById(name).value)")
    assert kept == list(given.values())
    assert await sql(database, "SELECT * FROM model_corrections") == []

    await visitor.fill({"correctionValue": "much"})
    assert "must be" in await visitor.run("document.getElementById('correctionValue-error').innerText")
    await visitor.fill({"correctionValue": "2.5"})
    text = await visitor.text()
    assert "Boost 2.5: tag cats" in text
    assert "It holds within five seconds." in text
    ((made, *kept),) = await sql(
        database, "SELECT correction_id, correction_type, target_factor, target_value, correction_value, reason,"
        " admin_id, is_active FROM model_corrections"
    )  # fmt: skip
    assert kept == ["BOOST", "tag", "cats", 2.5, "spring", "a", True]
    assert (await visitor.run("location.pathname")) == f"/corrections/{made}"
    assert [each[1:] for each in await visitor.cells("changes")] == [["created", "a", "page"]]


async def test_a_correction_is_switched_off_after_a_second_question(visitor: Visitor, database: Database) -> None:
    made = await make(database, Rule("BLOCK", "u1", "v1"), NOW)
    await visitor.go("/corrections")
    await visitor.fill({}, "main tbody a")
    assert "Block: video v1" in await visitor.text()
    await visitor.fill({}, "main a.button")
    assert "Switch it off?" in await visitor.text()
    await visitor.fill({"adminId": "x" * 129})
    assert "must be at most 128 characters" in await visitor.text()
    await visitor.fill({"adminId": "bob"})
    assert (await visitor.run("location.pathname")) == f"/corrections/{made}"
    assert [each[1:] for each in await visitor.cells("changes")] == [
        ["deactivated", "bob", "page"],
        ["created", "ann", "cli"],
    ]
    assert await sql(database, "SELECT is_active FROM model_corrections") == [[0]]
    await visitor.go("/corrections")
    assert "There are none." in await visitor.text()
    await visitor.fill({}, "main a.quiet")
    assert "video v1" in await visitor.text()
    await visitor.go(f"/corrections/{made}/off")
    assert "It is off already." in await visitor.text()


async def test_older_corrections_are_on_further_pages(visitor: Visitor, database: Database) -> None:
    for number in range(51):
        await make(database, Rule("BLOCK", video_id=f"v{number}"), NOW + timedelta(seconds=number))
    await visitor.go("/corrections?all=1")
    first = await visitor.run("document.querySelectorAll('tbody tr').length")
    await visitor.fill({}, "main p.after a")
    assert (first, await visitor.run("document.querySelectorAll('tbody tr').length")) == (50, 1)
    assert "video v0" in await visitor.text()


COUNTED: Final = (
    "SELECT count(*), sum(user_action IN ('consumed', 'watched', 'liked', 'added', 'shared', 'rated')),"
    " sum(user_action IN ('hidden', 'blacklisted')), sum(user_action = 'pending')"
    " FROM recommendation_decisions JOIN prediction_outcomes USING (recommendation_id, position)"
    " WHERE recommendation_decisions.created_at {} :made AND video_id = 'v1'"
)


async def test_the_effect_is_what_sql_says(visitor: Visitor, books: Books) -> None:
    made = await make(books.database, Rule("BLOCK", video_id="v1"), NOW - 3 * HOUR / 2)
    await visitor.go(f"/corrections/{made}")
    shown = [[cell.split("\n")[0] for cell in row[3:]] for row in await visitor.cells("effect")]
    time = f"{NOW - 3 * HOUR / 2:%Y-%m-%d %H:%M:%S}.000000"
    expected = [(await sql(books.database, COUNTED.format(side), made=time))[0] for side in ("<", ">=")]
    assert shown == [[str(value) for value in row] for row in expected] == [["2", "1", "0", "1"], ["1", "0", "1", "0"]]
    assert [row[4].split("\n")[1:] for row in await visitor.cells("effect")] == [["50.0\u202f%"], ["0.0\u202f%"]]


@pytest.mark.usefixtures("books")
async def test_a_page_is_found_by_its_user_and_explained(visitor: Visitor) -> None:
    await visitor.go("/explain")
    await visitor.fill({"id": "u1"})
    assert [row[1:] for row in await visitor.cells("pages")] == [
        ["r3", "LIGHTFM", NOTHING, "lightfm-warp"],
        ["r1", "LIGHTFM", NOTHING, "lightfm-warp"],
    ]
    await visitor.fill({}, "#pages tbody a")
    text = await visitor.text()
    assert "Page of u1" in text
    for told in ("Experiment calm", "model m1", "languages: de, en", "excludeVideos: 3", "seen: 212", "session s1"):
        assert told in text
    assert await visitor.cells("videos") == [
        ["1", "v1", "hidden", "1", NOTHING, NOTHING, NOTHING],
        ["2", "v2", "rated", "1", NOTHING, "12.5\u202fs", "8"],
    ]


async def test_a_page_is_found_by_its_id_with_the_parts_of_its_scores(visitor: Visitor, books: Books) -> None:
    await visitor.go("/explain")
    await visitor.fill({"id": "r1"})
    heads = await visitor.run(
        "Array.from(document.querySelectorAll('#videos th[scope=col]'), (each) => each.innerText)"
    )
    assert heads == ["Position", "Video", "Outcome", "Score", "user_item", "prior", "By lot", "Watched", "Rating"]
    rows = await sql(
        books.database, "SELECT position, video_id, user_action, final_score,"
        " score_components ->> 'user_item', score_components ->> 'prior', propensity"
        " FROM recommendation_decisions JOIN prediction_outcomes USING (recommendation_id, position)"
        " WHERE recommendation_id = 'r1' ORDER BY position"
    )  # fmt: skip
    shown = [[*row[:3], *map(float, row[3:6]), row[6]] for row in await visitor.cells("videos")]
    assert shown == [
        [
            str(row[0]),
            row[1],
            row[2],
            *map(float, row[3:6]),
            NOTHING if row[6] is None else "5.0\u202f%",
        ]
        for row in rows
    ]
    await visitor.go("/explain/r2")
    assert "because DEADLINE" in await visitor.text()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/explain?id=nobody", "Neither a page nor a user of this id is known."),
        ("/explain?id=%00", "Neither a page nor a user of this id is known."),
        ("/explain/nobody", "No page of this id is known."),
        ("/explain/%00", "No page of this id is known."),
        ("/corrections/none", "There is no such correction."),
        ("/corrections/%00/off", "There is no such correction."),
        ("/corrections?page=nobodys", "pageToken: is not a page token of this service"),
    ],
)
async def test_what_is_not_there_is_told(visitor: Visitor, path: str, text: str) -> None:
    await visitor.go(path)
    assert text in await visitor.text()


async def test_pages_fit_narrow_screens_and_complain_of_nothing(visitor: Visitor, books: Books) -> None:
    made = await make(books.database, Rule("BOOST", target_factor="tag", target_value="c" * 128, value=1.0), NOW)
    paths = ["", "/new", f"/{made}", f"/{made}/off"]
    for path in [*(f"/corrections{each}" for each in paths), "/explain", "/explain?id=u1", "/explain/r1"]:
        for scheme in ("light", "dark"):
            await asyncio.to_thread(visitor.page.emulate, 390, scheme)
            await visitor.go(path)
            assert await visitor.run("document.documentElement.scrollWidth") <= 390, path
            unnamed = (
                "Array.from(document.querySelectorAll('input, select, textarea')).filter((each) => !each.labels[0])"
            )
            assert await visitor.run(f"{unnamed}.length") == 0, path
    assert await asyncio.to_thread(visitor.page.complaints) == []
