"""A scorer process stays light."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent.parent
HEAVY = {
    *("pandas", "pyarrow", "sklearn", "scipy", "lightfm", "sqlalchemy", "confluent_kafka", "apscheduler", "faiss"),
    *("duckdb", "ibis", "pyspark"),
}

# Runs a scorer process up to the point where it serves, then says what it has imported.
PROGRAM = """
import json, os, sys
from scorer import __main__ as entry
from runtime import process

def ended(service, *_):
    print(json.dumps({"modules": sorted(sys.modules), "threads": os.environ["OPENBLAS_NUM_THREADS"]}))
    sys.stdout.flush()
    os._exit(0)

process.Service.__aenter__ = ended
entry.main([])
"""


def test_nothing_heavy_is_imported_and_the_blas_has_one_thread(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env={"PATH": "", "PYTHONPATH": f"{ROOT}:{ROOT / 'protos'}", "FEED_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    answer = json.loads(done.stdout.splitlines()[-1])
    assert "scorer.adapters.scoring_grpc" in answer["modules"]
    assert HEAVY & set(answer["modules"]) == set()
    assert answer["threads"] == "1"
