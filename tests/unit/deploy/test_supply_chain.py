"""What is built in is known and pinned: vulnerabilities with dated excuses, the bill of materials, hashes."""

import json
import re
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from deploy.vulnerabilities import EXCUSES, LOCK, ROOT, excuses, faults, newest_release, was_reached

TODAY = date(2026, 11, 22)
EXCUSE = """
[[excuse]]
id = "CVE-1"
reason = "not called"
until = 2026-12-01
"""
BAD = {"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["2.0"]}
JARS = ROOT / "deploy" / "local" / "maven" / "jars.sha256"


def audit(*packages: dict[str, Any]) -> dict[str, Any]:
    return {"dependencies": list(packages)}


@pytest.mark.parametrize(
    ("found", "text", "today", "expected"),
    [
        pytest.param(audit({"name": "a", "version": "1", "vulns": []}), "", TODAY, [], id="nothing"),
        pytest.param(
            audit({"name": "a", "version": "1.0", "vulns": [BAD]}),
            "",
            TODAY,
            ["a 1.0: PYSEC-1, mended by 2.0"],
            id="one",
        ),
        pytest.param(audit({"name": "a", "version": "1.0", "vulns": [BAD]}), EXCUSE, TODAY, [], id="excused"),
        pytest.param(
            audit({"name": "a", "version": "1.0", "vulns": [BAD]}),
            EXCUSE,
            date(2026, 12, 2),
            ["CVE-1: the excuse was good until 2026-12-01: not called", "a 1.0: PYSEC-1, mended by 2.0"],
            id="no longer excused",
        ),
        pytest.param(audit({"name": "a", "skip_reason": "unknown"}), "", TODAY, ["a: unknown"], id="no answer"),
    ],
)
def test_what_is_wrong_is_told(found: dict[str, Any], text: str, today: date, expected: list[str]):
    assert list(faults(found, excuses(text), today)) == expected


def test_a_mirror_that_knows_nothing_is_no_answer():
    assert not was_reached(audit({"name": "a", "skip_reason": "not found"}))
    assert was_reached(audit({"name": "a", "skip_reason": "not found"}, {"name": "b", "version": "1", "vulns": []}))


PAGE = {
    "info": {"version": "1.0"},
    "vulnerabilities": [
        {"id": "PYSEC-1", "aliases": ["CVE-1"], "fixed_in": ["2.0"], "withdrawn": None},
        {"id": "PYSEC-2", "aliases": [], "fixed_in": [], "withdrawn": "2026-01-01T00:00:00Z"},
    ],
}


def test_a_page_of_a_package_tells_of_its_newest_release():
    assert list(faults(audit(newest_release("a", "1.0", PAGE)), [], TODAY)) == ["a 1.0: PYSEC-1, mended by 2.0"]
    assert newest_release("a", "0.9", PAGE)["skip_reason"] == "its page tells of 1.0 alone"
    assert newest_release("a", "1.0", None)["skip_reason"] == "no answer"


def test_excuses_have_reasons_and_days():
    assert all(each.reason and isinstance(each.until, date) for each in excuses(EXCUSES.read_text()))
    with pytest.raises(KeyError):
        excuses('[[excuse]]\nid = "CVE-1"')


def test_the_bill_of_materials_lists_every_locked_package(tmp_path: Path):
    made = tmp_path / "sbom.json"
    command = ["requirements", str(LOCK), "--pyproject", str(ROOT / "pyproject.toml"), "--of", "JSON", "-o", str(made)]
    subprocess.run([sys.executable, "-m", "cyclonedx_py", *command], check=True, capture_output=True, timeout=120)
    listed = {(each["name"], each["version"]) for each in json.loads(made.read_text())["components"]}
    locked = set(re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;]+)", LOCK.read_text(), re.MULTILINE))
    assert listed == locked


def test_every_locked_package_and_jar_has_its_hash():
    blocks = re.split(r"\n(?=\S)", LOCK.read_text().strip())
    assert [block for block in blocks if "--hash=sha256:" not in block] == []
    jars = JARS.read_text().split("\n")
    assert all(re.fullmatch(r"[0-9a-f]{64}\s+\S+", line) for line in jars if line and not line.startswith("#"))
