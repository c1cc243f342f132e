"""The documentation: made of the code where it can be, whole, and without links that lead nowhere."""

import importlib.util
import os
from pathlib import Path

import pytest

from deploy.docs import __main__ as docs
from deploy.docs import settings, site
from runtime.settings import CommonSettings

ROOT = Path(__file__).parents[3]


@pytest.fixture
def zensical() -> None:
    if importlib.util.find_spec("zensical") is None:
        reason = "needs zensical: make setup"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


def test_pages_are_in_step_with_the_code():
    assert list(docs.problems()) == []


def test_every_setting_of_every_process_is_in_the_reference():
    page = (ROOT / docs.SETTINGS).read_text("utf-8")
    named = {f"FEED_{name.upper()}" for cls in settings.sections().values() for name in cls.model_fields}
    assert {name for name in named if f"| `{name}` |" not in page} == set()


class Undescribed(CommonSettings):
    """One setting more, of which nothing is said."""

    bridge_new: int = 1


def test_a_setting_without_a_meaning_and_one_that_is_not_there_are_found():
    pages = {Path("a.md"): "`FEED_BRIDGE_NEW`, `FEED_BRIDGE_OLD`, `FEED_BRIDGE_*`, `FEED_*`"}
    assert list(settings.wrong({"bridge": Undescribed}, pages)) == [
        "FEED_BRIDGE_NEW has no description",
        "a.md: there is no setting FEED_BRIDGE_OLD",
    ]


@pytest.mark.usefixtures("zensical")
def test_the_site_has_every_page_and_every_link_leads_somewhere(tmp_path: Path):
    built = site.build(ROOT, tmp_path / "docs")
    pages = {path.relative_to(ROOT / "docs").with_suffix("") for path in (ROOT / "docs").rglob("*.md")}
    html = {path.relative_to(built).with_suffix("") for path in built.rglob("*.html")}
    assert {page for page in pages if page.name != "README"} <= html
    assert (built / "decisions" / "index.html").exists()


@pytest.mark.usefixtures("zensical")
@pytest.mark.parametrize("links", ["[x](nowhere.md) [x](index.md#nowhere)", "[x](nowhere.txt) ![x](nowhere.png)"])
def test_a_link_that_leads_nowhere_is_refused(tmp_path: Path, links: str):
    for part in site.MENU.values():
        for page in part:
            path = tmp_path / "docs" / page
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"# A page\n\n{links if page == 'index.md' else ''}\n", "utf-8")
    (tmp_path / "docs" / "decisions").mkdir()
    with pytest.raises(site.SiteError, match=r"(?s)nowhere.*nowhere"):
        site.build(tmp_path, tmp_path / "built")
