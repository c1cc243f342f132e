"""Every page of the navigation in a real Chromium: nothing fails, nothing is loaded from elsewhere, keys are enough."""

import asyncio
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, Final

import pytest

from runtime.process import Service
from storage.database import Database
from tests.browser import Browser, Page
from tests.integration.insights.page.conftest import Start, fill
from tests.polling import wait_for
from tests.screenshots import DRAWN, SCHEMES, WIDTHS, paths
from trainer.adapters.bundle_store import BundleStore

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

# How much the keyboard must reach.
REACHABLE: Final = """
Array.from(document.querySelectorAll(
  'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex="0"]'
)).filter((each) => each.checkVisibility()).length
"""
FOCUSED: Final = """
(() => {
  const all = Array.from(document.querySelectorAll('*'));
  const style = getComputedStyle(document.activeElement);
  return [all.indexOf(document.activeElement), style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2];
})()
"""
BODY: Final = "Array.from(document.querySelectorAll('*')).indexOf(document.body)"
UNNAMED: Final = """
Array.from(document.querySelectorAll('input:not([type=hidden]), select, textarea'))
  .filter((each) => !each.labels.length).length
+ Array.from(document.querySelectorAll('a, button, summary')).filter((each) => !each.textContent.trim()).length
"""
FIRST_PAINT_MS: Final = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


@pytest.fixture
async def site(start: Start, database: Database, register: None, store: BundleStore) -> Service:
    """With something on each page."""
    del register, store
    made = await start()
    await fill(database)
    return made


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    found = browser.open("about:blank")
    found.listen()
    yield found
    found.close()


async def on_each_page(site: Service, page: Page, check: Callable[[str], Any]) -> None:
    """Goes to every page of the navigation, and beyond it to what asks for a second time."""
    origin = f"http://127.0.0.1:{site.http_port}"

    def walk() -> None:
        page.go(f"{origin}/")
        for path in [*paths(page), "/models/m3/serve", "/nowhere"]:
            page.go(origin + path)
            wait_for(lambda: page.run(DRAWN), bool)
            check(path)

    await asyncio.to_thread(walk)


async def test_no_page_complains_or_asks_anybody_else(site: Service, page: Page):
    await on_each_page(site, page, lambda path: path)
    # That there is no such page is what its status says.
    complaints = [each for each in page.complaints() if "404 (Not Found)" not in each]
    hosts = {url.split("/")[2] for url in page.asked_for() if not url.startswith("about:")}
    assert (complaints, hosts) == ([], {f"127.0.0.1:{site.http_port}"})


@pytest.mark.parametrize(("scheme", "width"), list(product(SCHEMES, WIDTHS)))
async def test_no_page_scrolls_sideways(site: Service, page: Page, scheme: str, width: int):
    await asyncio.to_thread(page.emulate, width, scheme)
    wide: list[tuple[str, int]] = []
    await on_each_page(site, page, lambda path: wide.append((path, page.run("document.documentElement.scrollWidth"))))
    assert [each for each in wide if each[1] > width] == []


async def test_the_keyboard_reaches_everything_and_shows_where_it_is(site: Service, page: Page):
    def check(path: str) -> None:
        page.show()
        wanted, body = page.run(REACHABLE), page.run(BODY)
        reached: set[int] = set()
        for _ in range(wanted + 1):
            page.press("Tab")
            element, is_seen = page.run(FOCUSED)
            if element == body:
                break
            assert is_seen, f"{path}: the focus is not seen on element {element}"
            reached.add(element)
        assert len(reached) == wanted, path

    await on_each_page(site, page, check)


async def test_every_page_has_its_landmarks_one_heading_and_names_for_everything(site: Service, page: Page):
    def check(path: str) -> None:
        found = page.run(
            "['main', 'nav', 'header', 'footer', 'h1'].map((name) => document.querySelectorAll(name).length)"
        )
        assert (path, found, page.run(UNNAMED), page.run("document.documentElement.lang")) == (path, [1] * 5, 0, "en")

    await on_each_page(site, page, check)


async def test_every_page_is_painted_within_a_second(site: Service, page: Page):
    def check(path: str) -> None:
        def painted_ms() -> float:
            page.go(f"http://127.0.0.1:{site.http_port}{path}")
            return float(wait_for(lambda: page.run(FIRST_PAINT_MS), bool))

        # On a machine that does much else, one of several times.
        wait_for(painted_ms, lambda found: found < 1_000)

    await on_each_page(site, page, check)


async def test_a_chart_shows_the_figures_of_its_table(site: Service, page: Page):
    def look() -> tuple[int, int]:
        page.go(f"http://127.0.0.1:{site.http_port}/models")
        wait_for(lambda: page.run(DRAWN), bool)
        return page.run("document.querySelectorAll('figure canvas').length"), page.run(PAINTED)

    charts, painted = await asyncio.to_thread(look)
    assert charts == 2
    assert painted > 200  # the two lines and their points


# How many pixels of the first chart have the colour of its first line.
PAINTED: Final = """
(() => {
  const canvas = document.querySelector('figure canvas');
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const wanted = getComputedStyle(document.documentElement).getPropertyValue('--c1').trim();
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(wanted.slice(at, at + 2), 16));
  let found = 0;
  for (let at = 0; at < data.length; at += 4) {
    found += data[at] === red && data[at + 1] === green && data[at + 2] === blue;
  }
  return found;
})()
"""


async def test_a_model_comes_to_serve_by_the_mouse_and_goes_by_the_keyboard(
    site: Service, page: Page, store: BundleStore
):
    def say_who() -> None:
        page.run("document.querySelector('[name=adminId]').focus()")
        page.type("ann")

    def promote() -> str:
        page.go(f"http://127.0.0.1:{site.http_port}/models")
        page.click('a[href="/models/m3/serve"]')
        page.arrived("Let a model serve")
        say_who()
        page.click("button")
        wait_for(lambda: page.run("location.search"), lambda search: search == "?done=serves")
        return str(wait_for(lambda: page.run("document.querySelector('[role=status]')?.textContent"), bool))

    def roll_back() -> None:
        page.click('a.button[href="/models/m2/serve"]')
        page.arrived("Roll back")
        say_who()
        page.press("Enter")
        wait_for(
            lambda: page.run("location.search + document.readyState"), lambda place: place == "?done=servescomplete"
        )

    assert "It serves from now on" in await asyncio.to_thread(promote)
    assert store.live() == "m3"
    await asyncio.to_thread(roll_back)
    assert store.live() == "m2"


async def test_the_overview_looks_again_by_itself_and_leaves_the_focus(site: Service, page: Page):
    def look() -> str:
        page.go(f"http://127.0.0.1:{site.http_port}/")
        for region in ("#overview h1", "#processes h2"):
            page.run(f"document.querySelector('{region}').textContent = 'an old one'")
        page.run("document.querySelector('summary').focus()")
        # As when its time has come.
        page.run("document.querySelector('#overview').dispatchEvent(new Event('every'))")
        wait_for(lambda: page.run("document.querySelector('#overview h1').textContent"), lambda text: "feed" in text)
        wait_for(
            lambda: page.run("document.querySelector('#processes h2').textContent"), lambda text: text == "Processes"
        )
        return str(page.run("document.activeElement.tagName"))

    assert await asyncio.to_thread(look) == "SUMMARY"


async def test_charts_are_drawn_anew_when_night_falls(site: Service, page: Page):
    def look() -> list[int]:
        page.emulate(1280, "light")
        page.go(f"http://127.0.0.1:{site.http_port}/models")
        wait_for(lambda: page.run(DRAWN), bool)
        by_day = page.run(PAINTED)
        page.emulate(1280, "dark")
        return [by_day, wait_for(lambda: page.run(PAINTED), bool)]

    assert min(await asyncio.to_thread(look)) > 200
