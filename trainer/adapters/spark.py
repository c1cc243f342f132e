"""Spark: the one place that opens a session."""

import importlib.util
from typing import Any, Final

_MISSING: Final = "training on Spark needs the extra `spark` (pip install 'feed-recommendation-bridge[spark]')"


class SparkUnavailableError(Exception):
    """There is no Spark, or no Java 17 or 21 that it runs on: install what the message names."""


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

    builder = SparkSession.builder.appName("feed_lightfm_retrain").config("spark.ui.showConsoleProgress", "false")
    try:
        # Times of day are cut in the session's zone.
        return builder.config("spark.sql.session.timeZone", "UTC").getOrCreate()
    except PySparkRuntimeError as error:
        raise SparkUnavailableError(
            "Spark did not start: it needs Java 17 or 21 (Debian: apt-get install default-jre-headless)"
        ) from error
