"""`python -m tests.quality DIR`: how good served rankings are on a time split of KuaiRand, a JSON line a figure.

DIR is the folder of the data set; by default the one that lies beside the project.
"""

import asyncio
import logging
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from interactions.bulk.kuairand import import_directory
from runtime.settings import load
from storage.database import sync_engine, upgrade
from tests.bench.figures import show
from tests.quality.measuring import Measured, measured
from tests.system import ROOT
from trainer.app import training
from trainer.ports import SilentProgress
from trainer.settings import TrainerSettings

BESIDE: Final = ROOT.parent / "shared" / "data" / "kuairand-pure"

AT_LEAST_POPULARITY: Final = 1.5
AT_LEAST_COVERAGE: Final = 0.2


def main() -> None:
    """Imports, exports, fits, serves, measures."""
    directory = Path(sys.argv[1]) if sys.argv[1:] else BESIDE
    if not directory.is_dir():
        raise SystemExit(f"quality: there is no {directory}; name the folder of KuaiRand-Pure")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = f"sqlite:///{folder / 'feed.db'}"
        _fill(directory, url)
        settings = load(TrainerSettings, {"FEED_DATA_DIR": name, "FEED_DATABASE_URL": url})
        with training(settings, SilentProgress()) as job:
            job.export_days()
            data = job.load()
        tell(asyncio.run(measured(data, settings, job.fitter, job.cpus, folder / "scorer")))


def _fill(directory: Path, url: str) -> None:
    upgrade(url)
    engine = sync_engine(url)
    import_directory(directory, engine, datetime.now(UTC), lambda *_: None)
    engine.dispose()


def tell(found: Measured) -> None:
    """Prints the figures."""
    ndcg = found.served.ndcg_at_10
    for name, what, reference, bound in (
        ("popularity", "the better of two popularities", found.popularity, AT_LEAST_POPULARITY),
        ("lightfm", "LightFM without its prior", found.model, 1.0),
        ("item-knn", "item-kNN, cosine", found.knn, 1.0),
    ):
        ratio = ndcg / reference.ndcg_at_10
        show(
            f"ndcg-{name}",
            f"NDCG@10 of served rankings, against {what}",
            value=round(ndcg, 5),
            unit="NDCG@10",
            reference=round(reference.ndcg_at_10, 5),
            ratio=ratio,
            target=f"> {bound} x" if bound == 1 else f">= {bound} x",
            met=ratio > bound if bound == 1 else ratio >= bound,
            users=found.served.users,
        )
    _tell_coverage(found)


def _tell_coverage(found: Measured) -> None:
    show(
        "coverage",
        "share of all videos in somebody's first ten, as served",
        value=found.served.coverage_at_10,
        unit="share",
        reference=found.popularity.coverage_at_10,
        target=f">= {AT_LEAST_COVERAGE}",
        met=found.served.coverage_at_10 >= AT_LEAST_COVERAGE,
        without_stages=found.plain.coverage_at_10,
        ndcg_without_stages=round(found.plain.ndcg_at_10, 5),
        recall_at_50=found.served.recall_at_50,
    )


if __name__ == "__main__":
    main()
