"""S14: the REST sides keep to the OpenAPI document that they serve, as schemathesis finds it, in all its phases.

What a schema cannot say is in `tests/fuzzing/schemathesis.toml`, with its reason.
"""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import Any

from tests.chaos.conftest import Reporter
from tests.fuzzing.site import Site

TARGET = "0 failures at 1,000 examples an operation"
LONG_EXAMPLES = 1_000
SHORT_EXAMPLES = 10
# The phase that tries each value of each field takes as long as all the others.
SHORT_PHASES = "examples,fuzzing,stateful"
LONG_PHASES = "examples,coverage,fuzzing,stateful"
SEED = 1
BOUND_S = 3_000
CONFIG = Path(__file__).parents[1] / "fuzzing" / "schemathesis.toml"
PROCESSES = ("bridge", "interactions", "insights")


def test_rest_keeps_to_its_document(servers: Site, tmp_path: Path, report: Reporter, long: bool) -> None:
    document = json.loads((files("feed") / "openapi.json").read_text())
    examples, phases = (LONG_EXAMPLES, LONG_PHASES) if long else (SHORT_EXAMPLES, SHORT_PHASES)

    def found(name: str) -> dict[str, Any]:
        options = ("--max-examples", str(examples), "--phases", phases)
        return judged(servers.processes[name].http_port, paths_of(document, name), options, tmp_path / name)

    with ThreadPoolExecutor(len(PROCESSES)) as threads:
        results = list(threads.map(found, PROCESSES))
    failures = [failure for result in results for failure in result["failures"]]
    errors = [error for result in results for error in result["errors"]]
    tested = {operation for result in results for operation in result["valid_rates"]}
    report(
        "S14",
        f"schemathesis: {phases}",
        target=TARGET,
        met=not failures and not errors,
        operations=len(tested),
        examples_an_operation=examples,
        cases=sum(result["test_cases"]["generated"] for result in results),
        failures=len(failures),
    )
    assert (failures, errors) == ([], [])
    assert servers.failures() == []
    assert tested == {
        f"{method.upper()} {path}"
        for path, operations in document["paths"].items()
        for method in operations
        if method not in {"servers", "parameters"}
    }


def paths_of(document: dict[str, Any], process: str) -> list[str]:
    """Returns what a process serves: what the document names it for, and what every process has."""
    return [
        path
        for path, operations in document["paths"].items()
        if "servers" not in operations or operations["servers"][0]["description"] == process
    ]


def judged(port: int, paths: list[str], options: Sequence[str], folder: Path) -> dict[str, Any]:
    """Runs schemathesis on some paths of a process; returns its report."""
    folder.mkdir()
    url = f"http://127.0.0.1:{port}"
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run", f"{url}/openapi.json"),
        *("--url", url, "--include-path-regex", f"^({'|'.join(map(re.escape, paths))})$"),
        *options,
        *("--seed", str(SEED)),
        *("--report", "json", "--report-json-path", str(folder / "report.json")),
    ]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=BOUND_S, check=False)
    assert (folder / "report.json").exists(), ran.stdout + ran.stderr
    if ran.returncode:
        print(ran.stdout)  # noqa: T201  # how to make each failure again
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return found
