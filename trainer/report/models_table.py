"""The published models as text for a terminal: which serves, which is tried."""

from collections.abc import Iterator
from typing import Final

from runtime.models.candidate_file import Candidate
from runtime.models.model_bundle import BundleError
from trainer.adapters.bundle_store import BundleStore
from trainer.domain.comparison import NDCG
from trainer.report.titles import TITLES

_HEADS: Final = ("model", "data until", "algorithm", TITLES[NDCG][0], "")


def models_text(store: BundleStore) -> str:
    """Returns a table: a row a published model, newest first; a damaged one with what is wrong with it.

    Raises:
        BundleError: When it cannot be told which model serves or is tried.
    """
    rows = [_HEADS, *_rows(store)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _rows(store: BundleStore) -> Iterator[tuple[str, ...]]:
    live, candidate = store.live(), store.candidate()
    for version in reversed(store.versions()):
        state = _state(version, live, candidate)
        try:
            manifest = store.manifest(version)
        except BundleError as error:
            yield version, "", "", "", ", ".join(filter(None, (state, str(error))))
            continue
        ndcg = manifest.metrics.get(NDCG)
        told = "" if ndcg is None else f"{ndcg:.4f}"
        yield version, f"{manifest.data_until:%Y-%m-%d %H:%M} UTC", manifest.algorithm, told, state


def _state(version: str, live: str | None, candidate: Candidate | None) -> str:
    if version == live:
        return "serves"
    if candidate is None or version != candidate.model_version:
        return ""
    return f"{candidate.mode}, {candidate.share * 100:g}% of users"
