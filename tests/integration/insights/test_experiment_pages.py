"""The pages of experiments, in a browser on real rows; their figures are those of the command and of plain SQL."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
import sqlalchemy as sa

from insights.adapters.experiments_database import report_of
from insights.domain.experiment_report import METRICS, Metric
from insights.page.whiskers import WIDTH
from insights.report_text import report_lines
from runtime.experiments import Parameter, RankedBy, Variant
from runtime.process import Service
from storage import experiments
from storage.audit import Door
from storage.database import Database
from storage.experiment_rules import Definition
from storage.experiments import Status
from storage.tables import experiment_users
from tests.browser import Browser, Page, needed_chromium
from tests.integration.insights.books import BEGIN, Books, event
from tests.integration.insights.test_experiments import HIDE, LIKE, RARE, TRIED, load, simulate, start
from tests.polling import until, wait_for

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

USERS: Final = 150
# What the cells of a table say, its head left out.
CELLS: Final = (
    "Array.from(document.querySelectorAll('#{} tbody tr'), (row) => Array.from(row.cells, (cell) => cell.innerText))"
)
ERROR: Final = "document.getElementById('{}-error')?.innerText"


class Maker:
    """Somebody who makes experiments: what he does waits in a thread, while the process answers in the loop."""

    def __init__(self, tab: Page, port: int) -> None:
        self.tab = tab
        self._site = f"http://127.0.0.1:{port}"

    async def go(self, path: str) -> None:
        await asyncio.to_thread(self.tab.go, self._site + path)

    async def run(self, script: str) -> Any:
        return await asyncio.to_thread(self.tab.run, script)

    async def text(self) -> str:
        return str(await self.run("document.body.innerText"))

    async def cells(self, table: str) -> list[list[str]]:
        found: list[list[str]] = await self.run(CELLS.format(table))
        return found

    async def click(self, selector: str) -> None:
        """Clicks what leads to another page, and waits for that."""
        await self.run("window.isOld = true")
        await asyncio.to_thread(self.tab.click, selector)
        ready = "!window.isOld && document.readyState === 'complete'"
        await asyncio.to_thread(wait_for, lambda: self.tab.run(ready), bool)

    async def send(self, fields: Mapping[str, str], button: str = "main form button") -> None:
        """Fills a form in and sends it, whatever the browser thinks of it."""
        for name, value in fields.items():
            await self.run(f"document.getElementById({name!r}).value = {value!r}")
        await self.run("document.querySelector('main form').noValidate = true")
        await self.click(button)

    async def errors(self, *names: str) -> list[str | None]:
        return [await self.run(ERROR.format(name)) for name in names]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all."""
    with Browser(needed_chromium(), tmp_path_factory.mktemp("browser") / "profile") as found:
        yield found


@pytest.fixture
async def maker(browser: Browser, running: Service) -> Maker:
    tab = await asyncio.to_thread(browser.open, "about:blank")
    await asyncio.to_thread(tab.listen)
    return Maker(tab, running.http_port)


async def sql(database: Database, text: str) -> list[list[Any]]:
    async with database.read() as connection:
        return [list(row) for row in await connection.execute(sa.text(text))]


async def test_an_experiment_is_made_started_and_stopped_on_the_page(maker: Maker, database: Database) -> None:
    await maker.go("/experiments")
    assert "There are none." in await maker.text()
    await maker.click("main a.button")
    await maker.send(
        {
            "name": "calm",
            "hypothesis": "fewer alike are <b>watched</b> longer",
            "traffic": "0.2",
            "v2.name": "calm",
            "v2.weight": "3",
            "v2.diversity": "0.4",
            "v2.max_run": "1",
            "adminId": "ann",
        }
    )
    made = await load(database, "calm")
    assert made.status is Status.DRAFT
    definition = made.definition
    assert (definition.layer, definition.traffic, definition.admin_id) == ("feed", 0.2, "ann")
    assert definition.variants == [
        Variant("control", 1.0),
        Variant("calm", 3.0, RankedBy.MODEL, {Parameter.DIVERSITY: 0.4, Parameter.MAX_RUN: 1.0}),
    ]
    told = await maker.text()
    assert "It is a draft: nobody is part of it until it is started." in told
    assert "fewer alike are <b>watched</b> longer" in told
    assert await maker.cells("variants") == [
        ["control\nthe control", "as everybody's", "25.0\u202f%", "\u2013"],
        ["calm", "diversity 0.4, max_run 1", "75.0\u202f%", "\u2013"],
    ]

    await maker.click("main p a.button")
    assert (await load(database, "calm")).status is Status.DRAFT, "it asks once more"
    await maker.send({"adminId": ""})
    assert await maker.errors("adminId") == ["must be 1 to 128 characters"]
    await maker.send({"adminId": "bob"})
    assert (await load(database, "calm")).status is Status.RUNNING
    assert "No page of it is on the ledger yet" in await maker.text()

    await maker.click("main p a.button")
    await maker.send({"adminId": "cleo"})
    assert await maker.errors("reason", "adminId") == ["must be 1 to 1000 characters", None]
    assert (await load(database, "calm")).status is Status.RUNNING
    await maker.send({"reason": "we know enough"})
    stopped = await load(database, "calm")
    assert (stopped.status, stopped.stop_reason) == (Status.STOPPED, "we know enough")
    assert [row[1:] for row in await maker.cells("changes")] == [
        ["stopped", "cleo", "page", "we know enough"],
        ["started", "bob", "page", ""],
        ["created", "ann", "page", ""],
    ]
    await maker.go("/experiments")
    assert await maker.cells("experiments") == []
    await maker.go("/experiments?all=1")
    (row,) = await maker.cells("experiments")
    assert row[:3] == ["calm", "stopped\nwe know enough", "20.0\u202f%\nlayer feed"]


async def test_every_rule_is_told_at_its_field_and_nothing_is_lost(maker: Maker, database: Database) -> None:
    await maker.go("/experiments/new")
    wrong = {
        "name": "no spaces",
        "layer": "",
        "hypothesis": "x" * 1_001,
        "traffic": "all",
        "v1.weight": "0",
        "v2.name": "b",
        "v2.weight": "many",
        "v2.diversity": "1.5",
        "v2.max_run": "0.5",
    }
    await maker.send(wrong)
    names = [*wrong.keys() - {"v2.name"}, "adminId"]
    assert dict(zip(names, await maker.errors(*names), strict=True)) == {
        "name": "must be 1 to 128 characters of A-Z a-z 0-9 _ . : -",
        "layer": "must be 1 to 64 characters of A-Z a-z 0-9 _ . : -",
        "hypothesis": "must be at most 1000 characters",
        "traffic": "must be a share of the users from 0.0001 to 1",
        "adminId": "must be 1 to 128 characters",
        "v1.weight": "must be above 0 and at most 1000",
        "v2.weight": "must be above 0 and at most 1000",
        "v2.diversity": "must be a number from 0 to 1",
        "v2.max_run": "must be a whole number from 0 to 100",
    }
    assert {name: await maker.run(f"document.getElementById({name!r}).value") for name in wrong} == wrong
    assert await maker.run("document.querySelectorAll('[role=alert] li').length") == len(names)

    right = {"name": "calm", "layer": "feed", "hypothesis": "", "traffic": "1", "adminId": "ann"}
    variants = {"v1.weight": "", "v2.name": "control", "v2.weight": "", "v2.diversity": "", "v2.max_run": ""}
    await maker.send({**right, **variants})
    assert "Variants: control is there 2 times; each name once" in await maker.text()
    await maker.send({"v2.name": "b", "v2.rankedBy": "trending", "v2.prior": "1"})
    assert await maker.errors("v2.rankedBy") == ["no model ranks it, so it takes none"]
    assert await sql(database, "SELECT * FROM experiments") == []
    await maker.send({"v2.prior": ""})
    assert (await load(database, "calm")).definition.variants[1] == Variant("b", 1.0, RankedBy.TRENDING)
    await maker.go("/experiments/new")
    await maker.send({**right, "v2.name": "b"})
    assert await maker.errors("name") == ["there is an experiment calm already"]


async def test_more_variants_are_asked_for_without_a_script(maker: Maker, database: Database) -> None:
    await maker.go("/experiments/new")
    await maker.send({"name": "three", "v2.name": "b", "adminId": "ann"}, "button[name=more]")
    await maker.send({"v3.name": "c", "v3.weight": "2"}, "button[name=more]")
    assert await maker.run("document.querySelectorAll('fieldset').length") == 4
    await maker.send({})
    # The fourth was left empty.
    assert [(each.name, each.weight) for each in (await load(database, "three")).definition.variants] == [
        ("control", 1.0),
        ("b", 1.0),
        ("c", 2.0),
    ]
    await maker.go("/experiments/new")
    await maker.run("document.querySelector('[name=variants]').value = '99'")
    await maker.send({"name": "ten"}, "button[name=more]")
    assert await maker.run("document.querySelectorAll('fieldset').length") == 10
    assert await maker.run("document.querySelector('button[name=more]')") is None


async def test_a_layer_without_users_left_starts_nothing_more(maker: Maker, database: Database) -> None:
    await start(database)
    async with database.begin() as connection:
        other = Definition("other", "feed", 0.5, TRIED.variants, "", "ann")
        await experiments.create(connection, other, BEGIN, Door.CLI)
    await maker.go("/experiments/named/other/start")
    await maker.send({"adminId": "ann"})
    assert "must be at most 0: more users the layer does not have left" in await maker.text()
    assert (await load(database, "other")).status is Status.DRAFT


async def test_the_figures_are_those_of_the_command_and_of_plain_sql(maker: Maker, database: Database) -> None:
    """B is taken up twice as often and falls back more; every figure is counted anew from what was served and done."""
    books = Books(database)
    await books.keep()
    await simulate(books, USERS, {"a": 0.2, "b": 0.4}, {"a": 0.01, "b": 0.05}, {"a": 0.1, "b": 0.1})

    of_page: list[dict[str, Any]] = [{"user_id": f"u{nth}", "recommendation_id": f"page-{nth}"} for nth in range(20)]
    await books.act(
        *(event(LIKE, **each) for each in of_page), *(event(HIDE, video_id="v0", **each) for each in of_page)
    )
    await books.keep()

    async def on_ledger() -> list[list[Any]]:
        return await sql(database, "SELECT sum(pages), sum(added), sum(hidden) FROM experiment_users")

    await until(on_ledger, [[USERS, 20, 20]])
    await maker.go("/experiments/named/tried")
    async with database.read() as connection:
        report = await report_of(connection, TRIED)
    command = "\n".join(report_lines(report))
    by_hand = {
        variant: figures
        for variant, *figures in await sql(
            database,
            "SELECT json_extract(experiments, '$[0].variant') AS variant, count(DISTINCT user_id),"
            " 1.0 * sum(status_after = 'accepted') / count(*), 1.0 * sum(user_action = 'liked') / count(*),"
            " sum(watch_time_s) / count(DISTINCT recommendation_id), 1.0 * sum(user_action = 'hidden') / count(*),"
            " 1.0 * count(DISTINCT CASE WHEN fallback_reason <> 'NONE' THEN recommendation_id END)"
            " / count(DISTINCT recommendation_id) FROM recommendation_decisions"
            " JOIN prediction_outcomes USING (recommendation_id, position) GROUP BY variant",
        )
    }
    late = dict(
        await sql(
            database,
            "SELECT variant, 1.0 * sum(elapsed_ms > 150) / count(*) FROM (SELECT DISTINCT recommendation_id,"
            " json_extract(experiments, '$[0].variant') AS variant FROM recommendation_decisions)"
            " JOIN feed_cache USING (recommendation_id) GROUP BY variant",
        )
    )
    users = {row[0].split("\n")[0]: row[3] for row in await maker.cells("variants")}
    assert users == {variant: str(figures[0]) for variant, figures in by_hand.items()}
    for nth, metric in enumerate(METRICS):
        ((name, _, rate, relative, low, high, known),) = await maker.cells(metric.value)
        assert name == "b"
        value = late["b"] if metric is Metric.LATE else by_hand["b"][1 + nth]
        assert rate == (f"{value:.2f} s" if metric is Metric.WATCH_TIME else f"{value:.3%}")
        said = f"{rate} ({relative})" if relative else rate
        assert f"  b: {said}, differs by {low} to {high}: {known}" in command
    assert [each[-1] for each in await maker.cells("accepted")] == ["more"]


async def test_an_interval_is_drawn_as_it_is_written(maker: Maker, database: Database) -> None:
    books = Books(database)
    await books.keep()
    await simulate(books, USERS, {"a": 0.2, "b": 0.4}, RARE)
    async with database.read() as connection:
        found = (await report_of(connection, TRIED)).variants[1].differences[Metric.ACCEPTED]
    await maker.go("/experiments/named/tried")
    low, high = await maker.run(
        "(({ low, high }) => [Number(low), Number(high)])(document.querySelector('#accepted svg').dataset)"
    )
    middle = WIDTH / 2
    assert middle < low < high < WIDTH
    assert (low - middle) / (high - middle) == pytest.approx(found.low / found.high, abs=0.01)
    box = await maker.run("document.querySelector('#accepted svg path:nth-of-type(2)').getBoundingClientRect().width")
    assert box == pytest.approx(high - low, abs=3)


async def test_what_is_wrong_stands_above_all(maker: Maker, database: Database) -> None:
    """A variant that has lost half of its users, and whose pages fall back."""
    await start(database)
    rows = [
        {"experiment": "tried", "variant": variant, "user_id": f"{variant}{nth}", "pages": 2, "fallbacks": fallbacks}
        for variant, users, fallbacks in (("a", 400, 0), ("b", 200, 1))
        for nth in range(users)
    ]
    async with database.begin() as connection:
        await connection.execute(sa.insert(experiment_users), rows)
    await maker.go("/experiments/named/tried")
    alerts = await maker.run("Array.from(document.querySelectorAll('[role=alert]'), (each) => each.innerText)")
    assert alerts[0].startswith("Wrong shares: the variants have not the users that were drawn.")
    assert alerts[1].startswith("Harm: b: pages that the model did not rank: ")
    assert (await maker.cells("fallbacks"))[0][-1] == "more"
    assert await maker.run("document.querySelector('#fallbacks .badge').classList.contains('bad')")


@pytest.mark.parametrize(
    "path", ["/experiments/named/none", "/experiments/named/%00/stop", "/experiments/named/x/start"]
)
async def test_what_is_not_there_is_told(maker: Maker, path: str) -> None:
    await maker.go(path)
    assert "There is no such experiment." in await maker.text()


async def test_pages_fit_narrow_screens_and_complain_of_nothing(maker: Maker, database: Database) -> None:
    books = Books(database)
    await books.keep()
    await simulate(books, USERS, {"a": 0.2, "b": 0.4}, RARE)
    of = "/experiments/named/tried"
    for path in ("/experiments", "/experiments/new", of, f"{of}/start", f"{of}/stop"):
        for scheme in ("light", "dark"):
            await asyncio.to_thread(maker.tab.emulate, 390, scheme)
            await maker.go(path)
            assert await maker.run("document.documentElement.scrollWidth") <= 390, path
            fields = "Array.from(document.querySelectorAll('input:not([type=hidden]), select, textarea'))"
            assert await maker.run(f"{fields}.filter((each) => !each.labels[0]).length") == 0, path
    assert await asyncio.to_thread(maker.tab.complaints) == []
