"""The documentation as a site: Zensical makes it of docs/, and refuses links that lead nowhere."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

# What is in the menu, in order. A page that is in none of these parts is put at the end, under "More".
MENU: Final[Mapping[str, Sequence[str]]] = {
    "Start": ("index.md", "quick-start.md", "architecture.md", "comparison.md"),
    "Call it": ("clients/README.md", "api.md", "events.md", "tracking.md", "fakes.md"),
    "Operate it": (
        "operating.md",
        "docker.md",
        "kafka.md",
        "security.md",
        "privacy.md",
        "metrics.md",
        "page.md",
        "corrections.md",
        "benchmarks.md",
    ),
    "Train it": ("training.md", "nightly.md", "models.md", "algorithms.md", "export.md", "scale.md"),
    "Experiment": ("experiments.md", "outcomes.md"),
    "Reference": ("contract-reference.md", "settings-reference.md", "metrics-reference.md"),
}
# Parts with all pages of a folder, the one that lists them first.
FOLDERS: Final[Mapping[str, str]] = {"Runbooks": "runbooks", "Decisions": "decisions"}

_DECISIONS: Final = "decisions/README.md"
# What the programs in other languages make of themselves.
_BUILT: Final = shutil.ignore_patterns(
    "gen", "bin", "node_modules", "dist", "__pycache__", "package-lock.json", "go.sum"
)
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_LINKS: Final = {"a": "href", "img": "src"}


class SiteError(Exception):
    """The site could not be made; the text names the pages that are to be mended."""


def build(root: Path, folder: Path) -> Path:
    """Builds the site.

    Args:
        root: The project's folder.
        folder: Where to work; what is in it is deleted.

    Returns:
        The folder with the pages, `index.html` among them.

    Raises:
        SiteError: A link, an anchor, a picture or the menu leads nowhere.
    """
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(root / "docs", folder / "pages", ignore=_BUILT)
    (folder / "pages" / _DECISIONS).write_text("".join(decisions(root / "docs" / "decisions")), "utf-8")
    # JSON is YAML.
    (folder / "mkdocs.yml").write_text(json.dumps(_config(folder / "pages"), indent=2), "utf-8")
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise SiteError(_COLOUR.sub("", done.stderr + done.stdout))
    astray = list(leading_nowhere(folder / "site"))
    if astray:
        raise SiteError("\n".join(astray))
    return folder / "site"


def decisions(folder: Path) -> Iterator[str]:
    """Yields a page that lists all decisions."""
    yield "# Decisions\n\nWhy things are as they are: a page each, never rewritten but by a later one.\n\n"
    for path in sorted(folder.glob("[0-9]*.md")):
        with path.open(encoding="utf-8") as page:
            yield f"- [{page.readline().removeprefix('# ').strip()}]({path.name})\n"


def leading_nowhere(site: Path) -> Iterator[str]:
    """Yields links of built pages to files that are not there; Zensical looks at those to pages only."""
    for path in sorted(site.rglob("*.html")):
        links = _Links()
        links.feed(path.read_text("utf-8"))
        for link in links.found:
            place = urlsplit(link)
            is_ours = place.path and not (place.scheme or place.netloc or place.path.startswith("/"))
            if is_ours and not (path.parent / unquote(place.path)).exists():
                yield f"{path.relative_to(site)}: there is no {link}"


class _Links(HTMLParser):
    """Collects what a page links to and shows."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if value and name == _LINKS.get(tag)]


def _config(pages: Path) -> dict[str, object]:
    return {
        "site_name": "Feed recommendation bridge",
        "docs_dir": "pages",
        "site_dir": "site",
        "use_directory_urls": False,  # so that it can be read as it lies, without a server
        "nav": [{part: list(paths)} for part, paths in menu(pages).items()],
        "theme": {
            "font": False,  # none is asked of other machines
            "features": ["navigation.sections", "navigation.top", "content.code.copy", "toc.follow"],
            "palette": [
                {"media": "(prefers-color-scheme: light)", "scheme": "default"},
                {"media": "(prefers-color-scheme: dark)", "scheme": "slate"},
            ],
        },
        "markdown_extensions": [
            "tables",
            "attr_list",
            "pymdownx.highlight",
            {
                "pymdownx.superfences": {
                    "custom_fences": [
                        {
                            "name": "mermaid",
                            "class": "mermaid",
                            "format": "pymdownx.superfences.fence_code_format",
                        }
                    ]
                }
            },
            {"toc": {"permalink": True}},
        ],
    }


def menu(pages: Path) -> dict[str, Sequence[str]]:
    """Returns every page by the part of the menu that it is in.

    Raises:
        SiteError: The menu names a page that is not there.
    """
    there = {str(path.relative_to(pages)) for path in pages.rglob("*.md")}
    named = [page for part in MENU.values() for page in part]
    if missing := [page for page in named if page not in there]:
        raise SiteError(f"the menu names pages that are not there: {', '.join(missing)}")
    of_folders = {part: _all_of(pages, folder) for part, folder in FOLDERS.items()}
    more = sorted(there.difference(named, *of_folders.values()))
    return {**MENU, **of_folders, **({"More": more} if more else {})}


def _all_of(pages: Path, folder: str) -> Sequence[str]:
    found = sorted((pages / folder).glob("*.md"), key=lambda path: (path.name != "README.md", path.name))
    return [str(path.relative_to(pages)) for path in found]
