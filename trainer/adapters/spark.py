"""Spark: the one place that opens its session, and what comes out of it."""

import importlib.util
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce
from tempfile import TemporaryDirectory
from typing import Any, Final

_MISSING: Final = "training on Spark needs the extra `spark` (pip install 'feed-recommendation-bridge[spark]')"

# Its page would listen on all addresses and ask nobody who he is; parts of times are taken in the session's zone; the
# pairs that met come to this machine, 24 bytes each: of 40 million they are more than the 1 GB that Spark lets pass.
_ALWAYS: Final = {
    "spark.driver.maxResultSize": "0",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.session.timeZone": "UTC",
}


_SLICE_ROWS: Final = 1_000_000

_CHECKPOINTS: Final = "spark.checkpoint.dir"


class SparkUnavailableError(Exception):
    """Spark is not there, found no Java that it runs on, or lacks a setting: do what the message says."""


def spark_session() -> Any:
    """Returns this process's session, opened where there is none yet.

    Where Spark runs and with how much memory, its own configuration says (`spark-defaults.conf` in SPARK_CONF_DIR);
    without one it runs in this process, on all CPUs.

    Raises:
        SparkUnavailableError: When it cannot be opened.
    """
    if importlib.util.find_spec("pyspark") is None:
        raise SparkUnavailableError(_MISSING)
    from pyspark.errors import PySparkRuntimeError  # noqa: PLC0415
    from pyspark.sql import SparkSession  # noqa: PLC0415

    builder = SparkSession.builder.appName("feed_lightfm_retrain")
    for name, value in _ALWAYS.items():
        builder = builder.config(name, value)
    try:
        return builder.getOrCreate()
    except PySparkRuntimeError as error:
        raise SparkUnavailableError(
            "Spark did not start: it needs Java 17 or 21 (Debian: apt-get install default-jre-headless)"
        ) from error


@contextmanager
def checkpoints(session: Any) -> Iterator[None]:
    """Gives the session a place for what it writes down on its way, and empties it at the end.

    Raises:
        SparkUnavailableError: When Spark runs on other machines and its configuration names no place.
    """
    if session.conf.get(_CHECKPOINTS, None):
        yield
        return
    if not session.sparkContext.master.startswith("local"):
        raise SparkUnavailableError(f"set {_CHECKPOINTS} in Spark's configuration to a folder that its machines share")
    with TemporaryDirectory() as folder:
        session.sparkContext.setCheckpointDir(folder)
        yield


def sent(session: Any, table: Any) -> Any:
    """Returns an Arrow table as a DataFrame; in slices, as Spark refuses to send more than 128 MB with a task."""
    slices = (table.slice(start, _SLICE_ROWS) for start in range(0, max(1, len(table)), _SLICE_ROWS))
    return reduce(lambda whole, part: whole.union(part), map(session.createDataFrame, slices))


def fetched(frame: Any) -> Any:
    """Returns a DataFrame's rows as an Arrow table in one piece."""
    with warnings.catch_warnings():
        # PySpark leaves the socket that the rows came through for Python to close.
        warnings.simplefilter("ignore", ResourceWarning)
        return frame.toArrow().combine_chunks()
