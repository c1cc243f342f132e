"""Known vulnerabilities of the locked packages, by pip-audit: `python -m deploy.vulnerabilities`.

It ends with 1 when a package has one that `vulnerabilities.toml` does not excuse, or an excuse there is out of date.
Where the database of advisories cannot be reached it says so and ends with 0: who has no internet can still work.
"""

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
LOCK: Final = ROOT / "requirements.lock"
EXCUSES: Final = Path(__file__).with_name("vulnerabilities.toml")
# For each answer, and for all, in seconds.
_ANSWER_S: Final = 10
_ALL_S: Final = 600


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


def main() -> int:
    """Looks, and tells."""
    found = _audited()
    if found is None or not was_reached(found):
        sys.stderr.write("vulnerabilities: NOT CHECKED, the database of advisories cannot be reached from here\n")
        return 0
    wrong = list(faults(found, excuses(EXCUSES.read_text()), datetime.now(UTC).date()))
    for each in wrong:
        sys.stderr.write(f"vulnerabilities: {each}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
