"""Makes the reference pages and the site of the documentation; with --check, says whether the pages are in step."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from deploy.docs import contract, settings, site

ROOT: Final = Path(__file__).parents[2]
SETTINGS: Final = Path("docs/settings-reference.md")
CONTRACT: Final = Path("docs/contract-reference.md")
BUILT: Final = Path("build/docs")


def pages() -> dict[Path, str]:
    """Returns the texts of the pages that are made of the code, by their places in the project."""
    return {SETTINGS: settings.page(settings.sections()), CONTRACT: contract.page(ROOT / "protos")}


def problems() -> Iterator[str]:
    """Yields what is out of step, and settings that say nothing or are not there."""
    for path, text in pages().items():
        if not (ROOT / path).exists() or (ROOT / path).read_text("utf-8") != text:
            yield f"{path} is out of step: run make docs"
    written = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    yield from settings.wrong(
        settings.sections(), {path.relative_to(ROOT): path.read_text("utf-8") for path in written}
    )


def main() -> int:
    """Makes, or checks; returns the exit code."""
    if sys.argv[1:] != ["--check"]:
        for path, text in pages().items():
            (ROOT / path).write_text(text, "utf-8")
        try:
            sys.stderr.write(f"{site.build(ROOT, ROOT / BUILT) / 'index.html'}\n")
        except site.SiteError as error:
            sys.stderr.write(f"docs: {error}\n")
            return 1
    found = list(problems())
    sys.stderr.write("".join(f"docs: {problem}\n" for problem in found))
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
