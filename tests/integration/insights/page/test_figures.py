"""The pages of algorithms, funnel and trends: every number is what a plain query over the facts says."""

import asyncio
import re
from datetime import timedelta
from typing import Any, Final

import pytest

from insights.page.text import count, seconds, share
from runtime.process import Service
from storage.database import Database
from tests.browser import Browser
from tests.http import call
from tests.integration.insights.books import Books
from tests.integration.insights.lived import facts, live
from tests.integration.insights.page.conftest import NOW, Start
from tests.polling import wait_for
from tests.screenshots import DRAWN

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

TODAY: Final = NOW.date()
# On the half hour, so that no window ends while the test looks.
UNTIL: Final = NOW.replace(minute=0, second=0) - timedelta(minutes=30)

EVERYTHING: Final = "SPLIT_BY_UNSPECIFIED"
# What stands where facts have no name.
NAMELESS: Final = {("COUNTRY", ""): "unknown", ("MODEL_VERSION", ""): "no model"}
# The large figures of the funnel.
FACTS: Final = "Array.from(document.querySelectorAll('#funnel dd'), (cell) => cell.firstChild.textContent.trim())"
CELLS: Final = """
Array.from(document.querySelectorAll("%s tbody tr"), (row) => Array.from(row.cells, (cell) => cell.textContent.trim()))
"""
# Of each chart its title, the names of its lines, and its rows of values.
CHARTS: Final = """
Array.from(document.querySelectorAll('figure.chart'), (chart) => [
  chart.querySelector('figcaption').textContent,
  Array.from(chart.querySelectorAll('details thead th'), (cell) => cell.textContent).slice(1),
  Array.from(chart.querySelectorAll('details tbody tr'), (row) =>
    [row.cells[0].textContent, ...Array.from(row.cells, (cell) => cell.dataset.value ?? null).slice(1)]),
])
"""


@pytest.fixture
async def site(start: Start, database: Database) -> tuple[Service, Books]:
    """A process whose ledger has a past."""
    books = Books(database)
    await books.keep()
    books.time = NOW
    await live(books, UNTIL)
    return await start(), books


async def shown(browser: Browser, service: Service, path: str, *scripts: str) -> list[Any]:
    """Opens a page and returns what scripts find on it."""

    def look() -> list[Any]:
        page = browser.open(f"http://127.0.0.1:{service.http_port}{path}")
        try:
            wait_for(lambda: page.run(DRAWN), bool)
            return [page.run(script) for script in scripts]
        finally:
            page.close()

    return await asyncio.to_thread(look)


def rates(fact: dict[str, Any]) -> list[str]:
    """Returns figures as pages write them: accepted, consumed, added, rated, watched, right, foretold."""
    steps = [share(fact[step] / fact["served"]) for step in ("consumed", "added", "rated")]
    known = [share(fact[name]) for name in ("success_rate", "confidence_match")]
    return [share(fact["acceptance_rate"]), *steps, seconds(fact["watch_time_per_page_s"]), *known]


def line(fact: dict[str, Any]) -> list[str]:
    return [count(fact["pages"]), count(fact["served"]), *rates(fact)]


async def test_algorithms_are_what_sql_says(site: tuple[Service, Books], browser: Browser):
    service, books = site
    for days in (7, 30):
        since = TODAY - timedelta(days=days - 1)
        cells, charts = await shown(browser, service, f"/algorithms?days={days}", CELLS % "#algorithms", CHARTS)
        found = {name: fact for (name, _), fact in (await facts(books, "ALGORITHM", since, TODAY, "")).items()}
        (total,) = (await facts(books, EVERYTHING, since, TODAY, "")).values()
        names = sorted(found, key=lambda name: (-found[name]["served"], name))
        expected = [*([name, *line(found[name])] for name in names), ["All together", *line(total)]]
        assert [measured(cell) for cell in cells] == [about(cell) for cell in expected]
        by_day = await facts(books, "ALGORITHM", since, TODAY, "", by_day=True)
        assert [title for title, *_ in charts] == ["Accepted, of served videos", "Watch time a page", "Served videos"]
        for (_, lines, rows), fact in zip(charts, ("acceptance_rate", "watch_time_per_page_s", "served"), strict=True):
            assert lines == names
            assert {key: value for key, value in drawn(lines, rows).items() if value} == near(by_day, fact)


async def test_funnel_and_trends_are_what_sql_says(site: tuple[Service, Books], browser: Browser):
    service, books = site
    since = TODAY - timedelta(days=6)
    facts_shown, charts = await shown(browser, service, "/trends?days=7", FACTS, CHARTS)
    (total,) = (await facts(books, EVERYTHING, since, TODAY, "")).values()
    accepted, *_, watched, right, foretold = rates(total)
    counts = [count(total[name]) for name in ("served", "consumed", "added", "rated")]
    assert measured(facts_shown) == about([*counts, accepted, watched, right, foretold])
    by_day = await facts(books, EVERYTHING, since, TODAY, "", by_day=True)
    steps, *_, known = charts
    assert [day for day, *_ in steps[2]] == [str(since + timedelta(days=nth)) for nth in range(7)]
    told = {day: [float(value) for value in values] for day, *values in steps[2] if values[0] is not None}
    assert told == {
        day: pytest.approx([fact[step] / fact["served"] for step in ("consumed", "added", "rated")])
        for (_, day), fact in by_day.items()
    }
    matches = {day: float(match) for day, _, match in known[2] if match is not None}
    decided = {day: fact["confidence_match"] for (_, day), fact in by_day.items() if fact["confidence_match"]}
    assert matches == pytest.approx(decided, abs=1e-6)


async def test_parts_are_what_sql_says(site: tuple[Service, Books], browser: Browser):
    service, books = site
    since = TODAY - timedelta(days=29)
    for split in ("ALGORITHM", "VARIANT", "SOURCE", "POSITION", "MODEL_VERSION", "COUNTRY", "FALLBACK_REASON"):
        path = f"/trends?split={split.lower()}&algorithm=trending"
        cells, charts = await shown(browser, service, path, CELLS % "#parts", CHARTS)
        found = {
            NAMELESS.get((split, name), name): fact
            for (name, _), fact in (await facts(books, split, since, TODAY, "trending")).items()
        }
        expected = {
            name: [count(fact["pages"]), count(fact["served"]), *accepted_last(fact)] for name, fact in found.items()
        }
        assert {name: measured(figures) for name, *figures in cells} == {
            name: about(figures) for name, figures in expected.items()
        }
        by_day = await facts(books, split, since, TODAY, "trending", by_day=True)
        _, lines, rows = charts[-1]
        named = {(NAMELESS.get((split, name), name), day): fact for (name, day), fact in by_day.items()}
        values = {key: value for key, value in drawn(lines, rows).items() if value}
        assert values == {key: fact["served"] for key, fact in named.items() if key[0] in lines}
        assert lines == [name for name, *_ in cells][:6]


async def test_what_was_chosen_stays_chosen(site: tuple[Service, Books], browser: Browser):
    service, _ = site

    def choose() -> Any:
        page = browser.open(f"http://127.0.0.1:{service.http_port}/trends?days=7&algorithm=user-knn")
        page.run("document.querySelector('#split').value = 'source'")
        page.run("document.querySelector('form button').focus()")
        page.press("Enter")
        there = "document.readyState + location.search"
        wait_for(lambda: re.match("complete.*split=source", str(page.run(there))), bool, 10)
        wait_for(lambda: page.run(DRAWN), bool, 10)
        chosen = page.run("Array.from(document.querySelectorAll('select'), (each) => each.value)")
        page.close()
        return chosen

    assert await asyncio.to_thread(choose) == ["7", "source", "user-knn"]


async def test_an_empty_ledger_says_so_and_a_wrong_question_is_refused(start: Start):
    service = await start()
    for path in ("/algorithms", "/trends", "/trends?split=country"):
        answer = await call(service.http_port, "GET", path)
        assert (answer.status, "Nothing was served in these days" in answer.text) == (200, True)
    for path, field in (
        ("/algorithms?days=8", "days: must be 7 or 30"),
        ("/trends?days=x", "days: must be 7 or 30"),
        ("/trends?split=mood", "split: must be one of algorithm, variant"),
        ("/trends?algorithm=a%00", "algorithm: must not hold a NUL"),
    ):
        answer = await call(service.http_port, "GET", path, headers={"accept": "text/html"})
        assert (answer.status, field in answer.text) == (400, True)


def measured(cells: list[str]) -> list[Any]:
    """Returns cells with the last one, how well places foretold success, as a number of percents."""
    *texts, last = cells
    return [*texts, float(last.split("\u202f")[0])]


def about(cells: list[str]) -> list[Any]:
    """Returns what cells must be: the last is a sum of rounded parts, so its last digit may be another."""
    *texts, last = measured(cells)
    return [*texts, pytest.approx(last, abs=0.11)]


def accepted_last(fact: dict[str, Any]) -> list[str]:
    accepted, *steps = rates(fact)
    return [*steps[:3], accepted, *steps[3:]]


def drawn(lines: list[str], rows: list[list[str | None]]) -> dict[tuple[str, str | None], float]:
    """Returns the values of a chart by line and day."""
    return {
        (name, day): float(value)
        for day, *values in rows
        for name, value in zip(lines, values, strict=True)
        if value is not None
    }


def near(by_day: dict[tuple[str, str], dict[str, Any]], name: str) -> Any:
    return pytest.approx({key: fact[name] for key, fact in by_day.items() if fact[name]}, abs=1e-6)
