"""The nightly job gives a large catalogue an index, and a small one factors by columns."""

from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.models import bundle_files
from runtime.models.model_bundle import ModelBundle
from runtime.secrets.signing import load_public_key
from scorer.adapters.index_faiss import open_index
from trainer.ports import SilentProgress
from trainer.service import Training

Jobs = Callable[..., Training]

pytestmark = pytest.mark.usefixtures("engine")


def published(job: Training, folder: Path) -> ModelBundle:
    result = job.run()
    key = load_public_key(folder / "keys" / "model_signing.pub")
    return bundle_files.read(folder / "models", result.model_version, key)


def test_a_large_catalogue_gets_an_index(job_of: Jobs, tmp_path: Path) -> None:
    job = job_of(FEED_TRAINER_INDEX_FROM_VIDEOS="50", FEED_TRAINER_INDEX_LISTS="4")
    bundle = published(job, tmp_path)
    info, index = bundle.manifest.index, open_index(bundle)
    assert info is not None
    assert index is not None
    assert (info.type, info.recall_at_50) == ("IVF4,SQ8", 1.0), "of 60 videos 50 are found with any luck"
    rows = index.nearest(bundle.arrays.user_factors[0], 60)
    assert 7 not in rows.tolist(), "an inactive video"
    assert isinstance(job.progress, SilentProgress)
    assert job.progress.facts["indexed"]["recall_at_50"] == 1.0


def test_a_small_catalogue_gets_none(job_of: Jobs, tmp_path: Path) -> None:
    bundle = published(job_of(), tmp_path)
    assert (bundle.manifest.index, bundle.index) == (None, None)
    assert bundle.arrays.item_factors.flags.f_contiguous
