"""From an algorithm to what holds the log: whoever fits on Spark prepares there too, all others in memory."""

from trainer.adapters.export_parquet import ParquetExport
from trainer.adapters.spark import spark_session
from trainer.domain.algorithm import runs_on_spark
from trainer.domain.log import InteractionLog
from trainer.settings import TrainerSettings


def read_log(export: ParquetExport, settings: TrainerSettings) -> InteractionLog:
    """Returns the exported log.

    Raises:
        ExportError: When there is none, or a file is not what the manifest says.
        SparkUnavailableError: When it is to be on Spark, which cannot be opened.
    """
    if not runs_on_spark(settings.trainer_algorithm, settings.combined):
        return export.read()
    session = spark_session()
    from trainer.adapters.log_spark import spark_log  # noqa: PLC0415

    return spark_log(session, export.paths())
