"""The nightly job on a real database, from interactions to a bundle that serves."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from runtime.lock_file import AlreadyRunningError, exclusive
from runtime.models import bundle_files
from runtime.models.model_bundle import BundleError, find_texts
from runtime.secrets.signing import load_public_key
from storage.tables import model_trainings, user_interactions
from storage.trainings import TrainingStatus
from tests.integration.trainer.conftest import DAYS, FIRST_DAY, USERS, VIDEOS, interaction
from trainer.adapters.parquet_files import ExportError
from trainer.ports import SilentProgress
from trainer.service import Training

Jobs = Callable[..., Training]


def trainings(engine: sa.Engine) -> list[tuple[str, str, str | None]]:
    columns = model_trainings.c
    with engine.connect() as connection:
        rows = connection.execute(
            sa.select(columns.model_version, columns.status, columns.error).order_by(columns.started_at)
        )
        return [(row.model_version, row.status, row.error) for row in rows]


def test_a_run_ends_in_a_model_that_serves(engine: sa.Engine, job_of: Jobs, tmp_path: Path) -> None:
    result = job_of().run()
    assert result.status is TrainingStatus.SUCCEEDED, result.reason
    assert bundle_files.live_version(tmp_path / "models") == result.model_version
    bundle = bundle_files.read(
        tmp_path / "models", result.model_version, load_public_key(tmp_path / "keys" / "model_signing.pub")
    )
    assert (len(bundle.arrays.user_ids), len(bundle.arrays.video_ids)) == (USERS, VIDEOS)
    assert not bundle.arrays.item_active[7]
    assert bundle.manifest.params["threads"] == bundle.manifest.threads == 1
    assert bundle.manifest.metrics["ndcg_at_10"] > bundle.manifest.metrics["popularity_ndcg_at_10"]
    assert trainings(engine) == [(result.model_version, "succeeded", None)]


def test_the_register_has_the_figures(engine: sa.Engine, job_of: Jobs) -> None:
    result = job_of().run()
    with engine.connect() as connection:
        row = connection.execute(sa.select(model_trainings)).one()
    assert row.training_data_size == USERS * DAYS * 3
    assert row.ndcg == pytest.approx(result.metrics["ndcg_at_10"])
    assert (row.recall, row.coverage) == (
        pytest.approx(result.metrics["recall_at_50"]),
        pytest.approx(result.metrics["coverage_at_10"]),
    )
    assert row.weights["LIKE"] == 0.7
    assert row.thresholds["popularity_ratio"] == 1.05
    assert row.finished_at >= row.started_at


def test_what_a_new_user_does_changes_the_next_model(engine: sa.Engine, job_of: Jobs, tmp_path: Path) -> None:
    """The loop closes: the newcomer likes odd videos, and is ranked odd ones; what was seen is known."""
    job_of().run()
    liked = [1, 3, 5, 9, 11, 13]
    with engine.begin() as connection:
        events = [
            interaction(900_000 + n, 999, video, DAYS - 1, interaction_type="LIKE") for n, video in enumerate(liked)
        ]
        connection.execute(sa.insert(user_interactions), events)
    result = job_of().run()
    key = load_public_key(tmp_path / "keys" / "model_signing.pub")
    arrays = bundle_files.read(tmp_path / "models", result.model_version, key).arrays
    (newcomer,) = find_texts(arrays.user_ids, ["u999"])
    assert newcomer >= 0
    seen = arrays.seen_of(newcomer)
    assert seen.tolist() == liked
    best = np.argsort(-(arrays.item_factors @ arrays.user_factors[newcomer]))[:10]
    assert (best % 2 == 1).sum() >= 9


def test_one_thread_and_a_seed_give_the_same_model_again(engine: sa.Engine, job_of: Jobs, tmp_path: Path) -> None:
    del engine
    versions = [job_of().run().model_version for _ in range(2)]
    key = load_public_key(tmp_path / "keys" / "model_signing.pub")
    manifests = [bundle_files.read_manifest(tmp_path / "models", version, key) for version in versions]
    assert manifests[0].arrays_sha256 == manifests[1].arrays_sha256


def test_a_refused_model_is_registered_and_does_not_serve(engine: sa.Engine, job_of: Jobs, tmp_path: Path) -> None:
    good = job_of().run()
    refused = job_of(FEED_TRAINER_GATE_POPULARITY_RATIO="100").run()
    assert refused.status is TrainingStatus.REFUSED
    assert "is not above" in (refused.reason or "")
    assert bundle_files.live_version(tmp_path / "models") == good.model_version
    assert bundle_files.published_versions(tmp_path / "models") == [good.model_version]
    assert trainings(engine)[1] == (refused.model_version, "refused", refused.reason)


def test_a_shuffled_log_is_refused(engine: sa.Engine, job_of: Jobs) -> None:
    """Whatever is learned from noise, popularity included, is as good for one user as for another."""
    rng = np.random.default_rng(3)
    with engine.begin() as connection:
        connection.execute(sa.delete(user_interactions))
        users, videos = rng.integers(0, USERS, 3000).tolist(), rng.integers(0, VIDEOS, 3000).tolist()
        rows = [interaction(n, users[n], videos[n], n % DAYS) for n in range(3000)]
        connection.execute(sa.insert(user_interactions), rows)
    result = job_of(FEED_TRAINER_GATE_POPULARITY_RATIO="0").run()
    assert result.status is TrainingStatus.REFUSED
    assert "another user's ranking is as good" in (result.reason or "")
    assert trainings(engine) == [(result.model_version, "refused", result.reason)]


def test_a_log_with_half_its_days_missing_is_refused(engine: sa.Engine, job_of: Jobs) -> None:
    with engine.begin() as connection:
        for day in range(1, DAYS - 1, 2):
            of_day = user_interactions.c.event_time.between(
                FIRST_DAY + timedelta(days=day), FIRST_DAY + timedelta(days=day + 1)
            )
            connection.execute(sa.delete(user_interactions).where(of_day))
    result = job_of().run()
    told = f"3 of the log's {DAYS} days have no interaction (bound 25%)"
    assert trainings(engine) == [(result.model_version, "refused", told)]


def test_too_little_data_is_refused(engine: sa.Engine, job_of: Jobs) -> None:
    result = job_of(FEED_TRAINER_GATE_MIN_INTERACTIONS="1000000").run()
    assert (result.status, trainings(engine)[0][1]) == (TrainingStatus.REFUSED, "refused")
    assert "at least 1000000 are needed" in (result.reason or "")


def test_an_empty_database_fails_with_a_reason(engine: sa.Engine, job_of: Jobs) -> None:
    with engine.begin() as connection:
        connection.execute(sa.delete(user_interactions))
    with pytest.raises(ExportError, match="there are no interactions"):
        job_of().run()
    assert trainings(engine)[0][1:] == ("failed", "ExportError: no export in interactions: there are no interactions")


def test_a_run_that_was_killed_is_marked_when_the_next_one_starts(engine: sa.Engine, job_of: Jobs) -> None:
    job = job_of()
    job.recorder.begin(job._start("killed"))
    job.run()
    (_, status, error), last = trainings(engine)
    assert status == "failed"
    assert (error or "").startswith("killed: no heartbeat since ")
    assert last[1] == "succeeded"


def test_two_runs_never_overlap(engine: sa.Engine, job_of: Jobs, tmp_path: Path) -> None:
    with exclusive(tmp_path / "trainer.lock", "training"), pytest.raises(AlreadyRunningError):
        job_of().run()
    assert trainings(engine) == []


def test_rollback_promote_and_pruning(engine: sa.Engine, job_of: Jobs, tmp_path: Path) -> None:
    del engine
    job = job_of(FEED_TRAINER_KEEP_MODELS="2")
    store = job.store
    versions = [job.run().model_version for _ in range(3)]
    assert versions == sorted(versions)
    assert store.versions() == versions[1:], "the oldest is gone"
    assert store.rollback() == versions[1]
    with pytest.raises(BundleError):
        store.rollback()
    assert store.live() == versions[1]
    store.promote(versions[2])
    assert bundle_files.live_version(tmp_path / "models") == versions[2]
    (tmp_path / "models" / versions[1] / bundle_files.ARRAYS_FILE).write_bytes(b"broken")
    with pytest.raises(BundleError):
        store.promote(versions[1])
    assert store.live() == versions[2]


def test_what_a_killed_run_left_half_written_is_deleted(engine: sa.Engine, job_of: Jobs, tmp_path: Path) -> None:
    del engine
    left = tmp_path / "models" / ".20250901T020000000-abcd.17.0123abcd"
    left.mkdir(parents=True)
    (left / bundle_files.ARRAYS_FILE).write_bytes(b"half")
    version = job_of().run().model_version
    assert sorted(each.name for each in (tmp_path / "models").iterdir()) == [version, bundle_files.LIVE_FILE]


def test_a_fit_is_published_and_does_not_serve(engine: sa.Engine, job_of: Jobs) -> None:
    del engine
    job = job_of()
    version = job.run(promote=False).model_version
    assert (job.store.versions(), job.store.live()) == ([version], None)


def test_the_person_is_told_each_step(engine: sa.Engine, job_of: Jobs) -> None:
    del engine
    job = job_of()
    job.run()
    assert isinstance(job.progress, SilentProgress)
    assert job.progress.steps == ["export", "load", "fit on past", "fit on all"]
    assert set(job.progress.facts) == {"evaluated", "popularity", "report", "finished"}
