"""Takes a picture of every page of the insights, by day and by night, wide and narrow.

`python -m tests.screenshots http://127.0.0.1:8090 docs/screenshots`, while `make run` runs (or `make screenshots`).
"""

import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import Final

from tests.browser import Browser, Page, needed_chromium
from tests.polling import wait_for

SCHEMES: Final = ("light", "dark")
WIDTHS: Final = (1280, 390)


def main(site: str, folder: Path) -> None:
    """Takes the pictures: `<page>-<scheme>-<width>.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as profile, Browser(needed_chromium(), Path(profile) / "profile") as browser:
        page = browser.open(site)
        for path, scheme, width in product(paths(page), SCHEMES, WIDTHS):
            page.emulate(width, scheme)
            page.go(site + path)
            wait_for(lambda: page.run(DRAWN), bool)
            name = path.strip("/").replace("/", "-") or "overview"
            (folder / f"{name}-{scheme}-{width}.png").write_bytes(page.picture())


def paths(page: Page) -> list[str]:
    """Returns where the navigation of a page leads to."""
    found: list[str] = page.run("Array.from(document.querySelectorAll('nav a'), (link) => link.getAttribute('href'))")
    return found


# Whether all charts are drawn.
DRAWN: Final = "Array.from(document.querySelectorAll('[data-chart]')).every((chart) => chart.querySelector('canvas'))"

if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
