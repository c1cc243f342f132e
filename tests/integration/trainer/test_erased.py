"""Who was erased, or does not want to be known, is in no next export and in no next model."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq
import sqlalchemy as sa

from storage.database import reading
from storage.erasures import Part, hash_of
from storage.tables import user_erasure_parts, user_erasures, user_recommendations, users
from storage.user_recommendations import ListedVideo, Made, UserListRows
from tests.integration.trainer.conftest import DAYS
from trainer.service import Training

NOW = datetime(2025, 10, 1, tzinfo=UTC)
JobOf = Callable[..., Training]


def withhold(engine: sa.Engine, user_id: str, *, erased: bool) -> None:
    """Marks a user, and begins the receipt that says what there is to do."""
    with engine.begin() as connection:
        row = {"user_id": user_id, "features": {}, "personalised": False, "erased_at": NOW if erased else None}
        connection.execute(sa.insert(users), row)
        head = {"erasure_id": user_id, "user_hash": hash_of(user_id), "requested_at": NOW}
        connection.execute(sa.insert(user_erasures), head)
        parts = [{"erasure_id": user_id, "part": part, "removed": 0} for part in (Part.EXPORT, Part.MODELS)]
        connection.execute(sa.insert(user_erasure_parts), parts)


def done(engine: sa.Engine) -> set[tuple[str, str]]:
    row = user_erasure_parts.c
    with reading(engine) as connection:
        found = connection.execute(sa.select(row.erasure_id, row.part).where(row.done_at.is_not(None)))
        return {(each.erasure_id, each.part) for each in found}


def exported(job: Training) -> set[str]:
    return {user_id for path in job.export.paths() for user_id in pq.read_table(path)["user_id"].to_pylist()}


def test_days_that_were_exported_are_written_anew_without_who_is_withheld(job_of: JobOf, engine: sa.Engine) -> None:
    """The rows are still there: an erasure may be on its way, and a consent may come back."""
    job = job_of()
    job.export_days()
    assert {"u001", "u002", "u003"} <= exported(job)
    withhold(engine, "u001", erased=True)
    withhold(engine, "u002", erased=False)
    assert job.export_days(until=(NOW + timedelta(days=1)).date()) == DAYS
    assert done(engine) == set()
    job.export_days()
    assert exported(job) & {"u001", "u002", "u003"} == {"u003"}
    assert done(engine) == {("u001", Part.EXPORT)}


def test_models_that_know_who_was_erased_are_deleted_once_another_one_serves(job_of: JobOf, engine: sa.Engine) -> None:
    job = job_of()
    older, live = job.run().model_version, job.run().model_version
    assert job.store.versions() == [older, live]
    withhold(engine, "u001", erased=True)
    job_of(FEED_TRAINER_GATE_POPULARITY_RATIO="100").run()
    assert (job.store.versions(), ("u001", Part.MODELS) in done(engine)) == ([live], False)
    newest = job.run().model_version
    assert job.store.versions() == [newest]
    assert b"u001" not in job.store.read(newest).arrays.user_ids.tolist()
    assert ("u001", Part.MODELS) in done(engine)


def test_no_list_is_written_for_who_is_withheld_meanwhile(job_of: JobOf, engine: sa.Engine) -> None:
    job = job_of()
    withhold(engine, "u001", erased=True)
    made = Made("a", "m", NOW, NOW + timedelta(days=1))
    lists = [UserListRows(each, [ListedVideo("v001", 1.0)]) for each in ("u001", "u002")]
    job.database.replace_lists(lists, made)
    with reading(engine) as connection:
        assert connection.scalars(sa.select(user_recommendations.c.user_id)).all() == ["u002"]
    assert "u001" not in job.database.active_users(timedelta(days=90))
