"""What waits for the night, or only exports, does not load what prepares and fits."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent.parent
HEAVY = {"duckdb", "ibis", "pyspark", "pandas", "lightfm", "implicit", "faiss", "sklearn"}

PROGRAM = "import json, sys, trainer.__main__; print(json.dumps(sorted(sys.modules)))"


def test_the_process_of_the_schedule_has_no_engine() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env={"PATH": "", "PYTHONPATH": f"{ROOT}:{ROOT / 'protos'}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    modules = set(json.loads(done.stdout))
    assert "trainer.adapters.export_parquet" in modules
    assert HEAVY & modules == set()
