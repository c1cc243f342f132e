"""Known vulnerabilities of the locked packages, by pip-audit: `python -m deploy.vulnerabilities`.

It ends with 1 when a package has one that `vulnerabilities.toml` does not excuse, or an excuse there is out of date.
A mirror of the index may have no page of a single release, which is what pip-audit asks for: then each package's own
page is asked, which tells of the newest release. What cannot be asked at all is named, and ends with 0: who has no
internet can still work.
"""

import http.client
import json
import re
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from pip._internal.models.index import PyPI

ROOT: Final = Path(__file__).parents[1]
LOCK: Final = ROOT / "requirements.lock"
EXCUSES: Final = Path(__file__).with_name("vulnerabilities.toml")
# For each answer, and for all, in seconds.
_ANSWER_S: Final = 10
_ALL_S: Final = 600
_AT_ONCE: Final = 8
_LOCKED: Final = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Excuse:
    """Why a vulnerability does not concern us, for now.

    Args:
        vulnerability: Its id, or one of its aliases.
        reason: Why.
        until: The last day on which that is believed.
    """

    vulnerability: str
    reason: str
    until: date


def excuses(text: str) -> list[Excuse]:
    """Reads the list of excuses; raises KeyError when one lacks an id, a reason or a day."""
    rows: list[Mapping[str, Any]] = tomllib.loads(text).get("excuse", [])
    return [Excuse(row["id"], row["reason"], row["until"]) for row in rows]


def faults(found: Mapping[str, Any], excused: list[Excuse], today: date) -> Iterator[str]:
    """Yields what is wrong: packages without an answer, vulnerabilities without an excuse, excuses out of date.

    Args:
        found: pip-audit's JSON.
        excused: What is known and why it does no harm.
        today: The present day.
    """
    believed = {each.vulnerability for each in excused if each.until >= today}
    for excuse in excused:
        if excuse.until < today:
            yield f"{excuse.vulnerability}: the excuse was good until {excuse.until}: {excuse.reason}"
    for package in found["dependencies"]:
        name = f"{package['name']} {package.get('version', '')}".strip()
        if "skip_reason" in package:
            yield f"{name}: {package['skip_reason']}"
        for vulnerability in package.get("vulns", ()):
            if believed.isdisjoint({vulnerability["id"], *vulnerability["aliases"]}):
                mended = ", ".join(vulnerability["fix_versions"]) or "no release"
                yield f"{name}: {vulnerability['id']}, mended by {mended}"


def was_reached(found: Mapping[str, Any]) -> bool:
    """Says whether anything was asked: a mirror without advisories knows no package."""
    return any("skip_reason" not in package for package in found["dependencies"])


def _audited() -> dict[str, Any] | None:
    """Returns pip-audit's JSON; None when it could not ask."""
    options = ("--requirement", str(LOCK), "--disable-pip", "--require-hashes", "--format", "json")
    quiet = ("--progress-spinner", "off", "--timeout", str(_ANSWER_S))
    command = [sys.executable, "-m", "pip_audit", *options, *quiet]
    try:
        ran = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, timeout=_ALL_S, check=False
        )
        found: dict[str, Any] = json.loads(ran.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        return None
    return found


def newest_release(name: str, version: str, page: Mapping[str, Any] | None) -> dict[str, Any]:
    """Returns what a package's own page tells of a release, in the form of pip-audit's JSON.

    Args:
        name: Of the package.
        version: The release.
        page: The page's JSON, as the index documents it; None: there is no answer.
    """
    if page is None:
        return {"name": name, "version": version, "skip_reason": "no answer"}
    if (newest := page["info"]["version"]) != version:
        return {"name": name, "version": version, "skip_reason": f"its page tells of {newest} alone"}
    told = [each for each in page["vulnerabilities"] if not each.get("withdrawn")]
    vulns = [{"id": each["id"], "aliases": each["aliases"], "fix_versions": each["fixed_in"]} for each in told]
    return {"name": name, "version": version, "vulns": vulns}


def _page(name: str) -> dict[str, Any] | None:
    try:
        with urllib.request.urlopen(f"{PyPI.pypi_url}/{name}/json", timeout=_ANSWER_S) as answer:  # noqa: S310  # pip's own
            page: dict[str, Any] = json.load(answer)
    except (OSError, http.client.HTTPException, ValueError):
        return None
    return page


def _newest_releases() -> dict[str, Any]:
    locked: list[tuple[str, str]] = _LOCKED.findall(LOCK.read_text())
    if _page(locked[0][0]) is None:  # nobody is there: that need not be found out for each
        return {"dependencies": [newest_release(name, version, None) for name, version in locked]}
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        pages = threads.map(_page, (name for name, _ in locked))
        told = zip(locked, pages, strict=True)
        return {"dependencies": [newest_release(name, version, page) for (name, version), page in told]}


def main() -> int:
    """Looks, and tells."""
    found = _audited()
    unasked: list[dict[str, Any]] = []
    if found is None or not was_reached(found):
        found = _newest_releases()
        if not was_reached(found):
            sys.stderr.write("vulnerabilities: NOT CHECKED, the database of advisories cannot be reached from here\n")
            return 0
        unasked = [each for each in found["dependencies"] if "skip_reason" in each]
        found["dependencies"] = [each for each in found["dependencies"] if each not in unasked]
    wrong = list(faults(found, excuses(EXCUSES.read_text()), datetime.now(UTC).date()))
    for each in wrong:
        sys.stderr.write(f"vulnerabilities: {each}\n")
    if unasked:
        told = "".join(f"\n  {each['name']} {each['version']}: {each['skip_reason']}" for each in unasked)
        asked = len(found["dependencies"])
        sys.stderr.write(f"vulnerabilities: {asked} packages were asked for, NOT CHECKED are {len(unasked)}:{told}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
