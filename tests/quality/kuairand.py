"""KuaiRand, imported and exported as in production."""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from interactions.bulk.kuairand import import_directory
from runtime.settings import load
from storage.database import sync_engine, upgrade
from tests.system import ROOT
from trainer.app import training
from trainer.ports import SilentProgress
from trainer.service import Training, TrainingData
from trainer.settings import TrainerSettings

BESIDE: Final = ROOT.parent / "shared" / "data" / "kuairand-pure"


@contextmanager
def imported(arguments: Sequence[str]) -> Iterator[tuple[Training, TrainingData]]:
    """Imports the data set into a database of its own; gives a training with the default settings, and its data.

    Args:
        arguments: The data set's folder; none: the one that lies beside the project.
    """
    directory = Path(arguments[0]) if arguments else BESIDE
    if not directory.is_dir():
        raise SystemExit(f"quality: there is no {directory}; name the folder of KuaiRand-Pure")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory() as name:
        url = f"sqlite:///{Path(name) / 'feed.db'}"
        _fill(directory, url)
        settings = load(TrainerSettings, {"FEED_DATA_DIR": name, "FEED_DATABASE_URL": url})
        with training(settings, SilentProgress()) as job:
            job.export_days()
            yield job, job.load()


def _fill(directory: Path, url: str) -> None:
    upgrade(url)
    engine = sync_engine(url)
    import_directory(directory, engine, datetime.now(UTC), lambda *_: None)
    engine.dispose()
