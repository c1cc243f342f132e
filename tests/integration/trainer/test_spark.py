"""What an operator is told who has set up Spark by half."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from trainer.adapters.spark import checkpoints

ROOT = Path(__file__).parent.parent.parent.parent
OPEN = "from trainer.adapters.spark import spark_session; spark_session()"


def test_without_java_its_package_is_named(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", OPEN],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'protos'}", "JAVA_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    told = done.stderr.splitlines()[-1]
    assert told.startswith("trainer.adapters.spark.SparkUnavailableError")
    assert "Java 17 or 21 (Debian: apt-get install default-jre-headless)" in told


def test_a_place_for_checkpoints_is_empty_afterwards(spark: Any) -> None:
    with checkpoints(spark):
        place = Path(spark.sparkContext.getCheckpointDir().removeprefix("file:"))
        assert place.is_dir()
    assert not place.exists()
