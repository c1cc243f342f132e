"""Signing in, changing something and signing out, in a real Chromium by the keyboard alone; and how that looks."""

import asyncio
import os
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from runtime.access import api_keys
from tests.browser import Browser, Page
from tests.integration.insights.page.conftest import Start
from tests.polling import wait_for
from tests.screenshots import SCHEMES, WIDTHS
from trainer.adapters.bundle_store import BundleStore

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    found = browser.open("about:blank")
    found.listen()
    yield found
    found.close()


def picture(page: Page, name: str) -> None:
    """Keeps how a page looks, where a folder for that is named."""
    folder = os.environ.get("PICTURES")
    if folder:
        (Path(folder) / f"{name}.png").write_bytes(page.picture())


async def test_somebody_signs_in_lets_a_model_serve_and_signs_out(
    start: Start, store: BundleStore, tmp_path: Path, page: Page
):
    key = api_keys.create(tmp_path / "keys" / "api_keys.json", "ann", ["insights:read", "models:promote"])
    origin = f"http://127.0.0.1:{(await start(FEED_AUTH='keys')).http_port}"

    def walk() -> str:
        page.go(f"{origin}/models/m3/serve")
        page.arrived("Sign in")
        for scheme, width in product(SCHEMES, WIDTHS):
            page.emulate(width, scheme)
            picture(page, f"sign-in-{scheme}-{width}")
            assert page.run("document.documentElement.scrollWidth") <= width
        assert page.run("document.querySelectorAll('input:not([type=hidden])')[0].labels.length") == 1
        page.run("document.querySelector('[name=key]').focus()")
        page.type("feedkey.ann.wrong")
        page.press("Enter")
        wait_for(lambda: page.run("document.querySelector('[role=alert]')?.textContent"), bool)
        picture(page, "sign-in-wrong")
        wait_for(lambda: page.run("document.activeElement.name"), lambda name: name == "key")
        page.type(key)
        page.press("Enter")
        page.arrived("Let a model serve")
        picture(page, "serve-signed-in")
        page.emulate(390, "light")
        picture(page, "serve-signed-in-390")
        assert page.run("document.cookie") == ""
        page.run("document.querySelector('main form button').focus()")
        page.press("Enter")
        page.arrived("Models")
        served = str(store.live())
        page.run("document.querySelector('.visitor button').focus()")
        page.press("Enter")
        page.arrived("Sign in")
        page.go(f"{origin}/models")
        page.arrived("Sign in")
        return served

    assert await asyncio.to_thread(walk) == "m3"
    # What is refused is a status of its own.
    assert [each for each in page.complaints() if "422" not in each] == []


async def test_a_page_that_looks_again_by_itself_leads_to_the_form_once_the_session_is_over(
    start: Start, tmp_path: Path, page: Page
):
    keys_path = tmp_path / "keys" / "api_keys.json"
    key = api_keys.create(keys_path, "ann", ["insights:read"])
    origin = f"http://127.0.0.1:{(await start(FEED_AUTH='keys')).http_port}"

    def walk() -> None:
        page.go(origin)
        page.arrived("Sign in")
        page.run("document.querySelector('[name=key]').focus()")
        page.type(key)
        page.press("Enter")
        page.arrived("Overview")
        api_keys.remove(keys_path, "ann")

        def looked_again() -> str:
            # As when its time has come.
            page.run("document.querySelector('#overview')?.dispatchEvent(new Event('every'))")
            return str(page.run("document.title"))

        wait_for(looked_again, lambda title: title.startswith("Sign in"))

    await asyncio.to_thread(walk)
