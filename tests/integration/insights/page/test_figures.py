"""The pages of algorithms, funnel and trends: every number is what a plain query over the facts says."""

import asyncio
from datetime import date, timedelta
from typing import Any, Final

import pytest

from insights.page.text import count, seconds, share
from runtime.process import Service
from storage.database import Database
from tests.browser import Browser
from tests.http import call
from tests.integration.insights.books import Books
from tests.integration.insights.lived import PARTS, facts, live
from tests.integration.insights.page.conftest import NOW, Start
from tests.polling import wait_for
from tests.screenshots import DRAWN

TODAY: Final = NOW.date()
# On the half hour, so that no window ends while the test looks.
UNTIL: Final = NOW.replace(minute=0, second=0) - timedelta(minutes=30)

CELLS: Final = """
Array.from(document.querySelectorAll(`${%r} tbody tr`), (row) => Array.from(row.cells, (cell) => cell.textContent.trim()))
"""
# Of each chart its title, the names of its lines, and its rows of values.
CHARTS: Final = """
Array.from(document.querySelectorAll('figure.chart'), (chart) => [
  chart.querySelector('figcaption').textContent,
  Array.from(chart.querySelectorAll('thead th'), (cell) => cell.textContent).slice(1),
  Array.from(chart.querySelectorAll('tbody tr'), (row) =>
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


def row(name: str, fact: dict[str, Any]) -> list[str]:
    """Returns a line of the table of algorithms."""
    rates = [share(fact[step] / fact["served"]) for step in ("consumed", "added", "rated")]
    known = [share(fact[name]) for name in ("success_rate", "confidence_match")]
    watched = seconds(fact["watch_time_per_page_s"])
    return [name, count(fact["pages"]), count(fact["served"]), share(fact["acceptance_rate"]), *rates, watched, *known]


@pytest.mark.parametrize("days", [7, 30])
async def test_algorithms_are_what_sql_says(site: tuple[Service, Books], browser: Browser, days: int):
    service, books = site
    since = TODAY - timedelta(days=days - 1)
    cells, charts = await shown(browser, service, f"/algorithms?days={days}", CELLS % "#algorithms", CHARTS)
    by_name = {name: fact for (name, _), fact in (await facts(books, "ALGORITHM", since, TODAY, "")).items()}
    ((_, total),) = (await facts(books, "SPLIT_BY_UNSPECIFIED", since, TODAY, "")).items()
    names = sorted(by_name, key=lambda name: (-by_name[name]["served"], name))
    assert cells == [*(row(name, by_name[name]) for name in names), row("All together", total)]
    by_day = await facts(books, "ALGORITHM", since, TODAY, "", by_day=True)
    assert [title for title, *_ in charts] == ["Accepted, of served videos", "Watch time a page", "Served videos"]
    for (_, lines, places), name in zip(charts, ("acceptance_rate", "watch_time_per_page_s", "served"), strict=True):
        assert lines == names
        assert values_of(places, lines) == approximately(by_day, name)
        assert [day for day, *_ in places] == [str(since + timedelta(days=nth)) for nth in range(days)]


@pytest.mark.parametrize("split", [*(name for name in PARTS if name != "SPLIT_BY_UNSPECIFIED"), "VARIANT"])
async def test_parts_are_what_sql_says(site: tuple[Service, Books], browser: Browser, split: str):
    service, books = site
    since = TODAY - timedelta(days=29)
    path = f"/trends?split={split.lower()}&algorithm=trending"
    cells, charts = await shown(browser, service, path, CELLS % "#parts", CHARTS)
    found = await facts(books, split, since, TODAY, "trending")
    names = {"": {"COUNTRY": "unknown", "MODEL_VERSION": "no model"}.get(split, "none")}
    expected = {names.get(name, name): row(name, fact) for (name, _), fact in found.items()}
    # The share that was accepted stands behind what it is made of here.
    assert {name: [*some[:2], some[5], *some[2:5], *some[6:]] for name, *some in cells} == {
        name: some[1:] for name, some in expected.items()
    }
    assert (len(cells) > 0, [title for title, *_ in charts][0]) == (True, "Accepted, of served videos")
