"""Spark in this process, one session for all tests."""

import os
from pathlib import Path
from typing import Any

import pytest

from trainer.adapters.spark import SparkUnavailableError, spark_session

# One thread and one partition: what is tested is small. Its code is compiled once, as it does not run for long.
_DEFAULTS = """
spark.master local[1]
spark.driver.memory 1g
spark.driver.extraJavaOptions -XX:TieredStopAtLevel=1 -XX:+UseSerialGC
spark.sql.shuffle.partitions 1
spark.default.parallelism 1
spark.sql.warehouse.dir {folder}/warehouse
"""


def session(folder: Path) -> Any:
    """Opens Spark with what it writes in a folder; skips without it, but where CI is set, which must have it."""
    (folder / "spark-defaults.conf").write_text(_DEFAULTS.format(folder=folder))
    os.environ |= {"SPARK_CONF_DIR": str(folder), "SPARK_LOCAL_IP": "127.0.0.1"}
    try:
        return spark_session()
    except SparkUnavailableError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
