"""Reports of runs on disk, and what they measured, so that runs can be held against each other later."""

import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from trainer.domain.ranking_metrics import Measured

REPORT_FILE: Final = "report.html"
MEASURED_FILE: Final = "measured.npz"


@dataclass(frozen=True, slots=True, eq=False)
class StoredMeasure:
    """What a run measured of its model.

    Args:
        test: Names the test: runs with the same name were measured with the same users and positives.
        measured: The figures.
    """

    test: str
    measured: Measured


class ReportStore:
    """The reports in a folder, one folder a run.

    Args:
        folder: Holds `<model_version>/report.html` and `<model_version>/measured.npz`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, model_version: str, page: str, stored: StoredMeasure | None) -> Path:
        """Writes a report and what was measured, None where nothing was; returns where the page is."""
        folder = self._folder / model_version
        folder.mkdir(parents=True, exist_ok=True)
        if stored is not None:
            temporary = folder / f".{MEASURED_FILE}.{os.getpid()}"
            with temporary.open("wb") as file:
                np.savez_compressed(
                    file, test=np.str_(stored.test), values=stored.measured.values, shown=stored.measured.shown
                )
            temporary.replace(folder / MEASURED_FILE)
        temporary = folder / f".{REPORT_FILE}.{os.getpid()}"
        temporary.write_text(page, "utf-8")
        return temporary.replace(folder / REPORT_FILE)

    def measured(self, model_version: str) -> StoredMeasure | None:
        """Reads what a run measured; None when nothing is known of it."""
        try:
            with np.load(self._folder / model_version / MEASURED_FILE, allow_pickle=False) as file:
                return StoredMeasure(str(file["test"]), Measured(file["values"], file["shown"]))
        except FileNotFoundError:
            return None

    def prune(self, keep: int, published: Collection[str]) -> None:
        """Deletes all but the newest reports and those of published models."""
        folders = sorted(each.parent for each in self._folder.glob(f"*/{REPORT_FILE}"))
        for gone in folders[:-keep]:
            if gone.name not in published:
                shutil.rmtree(gone, ignore_errors=True)
