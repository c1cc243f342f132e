"""Each run is measured beside the live model and leaves a report; two models can be held against each other."""

from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from runtime.models import bundle_files
from runtime.models.model_bundle import BundleError
from storage.tables import user_interactions
from storage.trainings import TrainingStatus
from tests.integration.trainer.conftest import DAYS, USERS, VIDEOS, interaction
from trainer.comparing import NotComparableError, compare_models
from trainer.domain.comparison import NDCG, Figure
from trainer.domain.segments import ALL
from trainer.ports import SilentProgress
from trainer.report.terminal import comparison_text
from trainer.service import Result, Training

Jobs = Callable[..., Training]

HARDLY_LEARNS = {
    "FEED_TRAINER_EPOCHS": "1",
    "FEED_TRAINER_LEARNING_RATE": "0.001",
    "FEED_TRAINER_GATE_POPULARITY_RATIO": "0",
}


def next_day(day: int = DAYS) -> list[dict[str, Any]]:
    """One more day of two tastes."""
    return [
        interaction(
            (day * USERS + user) * 3 + nth, user, (user % 2) + 2 * ((user * 7 + day * 3 + nth) % (VIDEOS // 2)), day
        )
        for user in range(USERS)
        for nth in range(3)
    ]


def add(engine: sa.Engine, rows: list[dict[str, Any]]) -> None:
    with engine.begin() as connection:
        connection.execute(sa.insert(user_interactions), rows)


def page_of(folder: Path, result: Result) -> str:
    return (folder / "reports" / result.model_version / "report.html").read_text()


class Seen(HTMLParser):
    """What a page is made of, and whether every element is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_run_leaves_a_page_that_needs_nothing_else(engine: sa.Engine, job_of: Jobs, tmp_path: Path) -> None:
    del engine
    job = job_of()
    result = job.run()
    page = page_of(tmp_path, result)
    seen = Seen(page)
    assert seen.open == []
    assert seen.tags.count("svg") == 4, "two by segment, what is shown, days"
    assert not {"script", "link", "img", "iframe"} & set(seen.tags)
    assert not {"src", "href", "onclick", "onload"} & seen.attributes
    assert "Passed the gate" in page
    assert f"{result.metrics[NDCG]:.4f}<small>[{result.metrics['ndcg_at_10_low']:.4f}" in page
    assert "light users" in page
    assert isinstance(job.progress, SilentProgress)
    assert job.progress.facts["report"]["path"] == str(tmp_path / "reports" / result.model_version / "report.html")


def test_a_refused_run_leaves_its_reasons(engine: sa.Engine, job_of: Jobs, tmp_path: Path) -> None:
    del engine
    too_much = job_of(FEED_TRAINER_GATE_POPULARITY_RATIO="100").run()
    assert (too_much.reason or "?") in page_of(tmp_path, too_much)
    too_little = job_of(FEED_TRAINER_GATE_MIN_INTERACTIONS="1000000").run()
    page = page_of(tmp_path, too_little)
    assert "at least 1000000 are needed" in page
    assert page.count("<svg") == 1, "nothing was measured but the days"


def test_reports_stay_as_long_as_their_models_and_the_newest_in_any_case(
    engine: sa.Engine, job_of: Jobs, tmp_path: Path
) -> None:
    """The live model is older than all that is kept otherwise."""
    del engine
    live = job_of(FEED_TRAINER_KEEP_MODELS="2").run().model_version
    refusing = job_of(FEED_TRAINER_KEEP_MODELS="2", FEED_TRAINER_GATE_POPULARITY_RATIO="100")
    refused = [refusing.run().model_version for _ in range(2)]
    assert refusing.measure() is not None
    names = sorted(each.name for each in (tmp_path / "reports").iterdir())
    assert names[:2] == [live, refused[1]]
    assert len(names) == 3, "the newest is that of the measurement"
    assert bundle_files.published_versions(tmp_path / "models") == [live]


def test_a_model_is_measured_beside_the_live_one_on_the_day_since(engine: sa.Engine, job_of: Jobs) -> None:
    """The second run of the same data has nothing that the live model does not know; the third has a day."""
    assert "live_ndcg_at_10" not in job_of().run().metrics
    again = job_of().run()
    assert again.status is TrainingStatus.SUCCEEDED
    assert "live_ndcg_at_10" not in again.metrics
    add(engine, next_day())
    found = job_of().run()
    assert found.status is TrainingStatus.SUCCEEDED, found.reason
    assert found.metrics["live_users"] == found.metrics["users"] == USERS
    lead = found.metrics[NDCG] - found.metrics["live_ndcg_at_10"]
    assert found.metrics["ndcg_at_10_over_live"] == pytest.approx(lead)


def test_a_model_worse_than_the_live_one_is_refused(engine: sa.Engine, job_of: Jobs, tmp_path: Path) -> None:
    """Popularity is no bar here; the model that hardly learned is held against one of the same data that did."""
    live = job_of().run().model_version
    add(engine, next_day())
    refused = job_of(**HARDLY_LEARNS).run()
    assert "worse than the live model beyond noise" in (refused.reason or "")
    assert bundle_files.live_version(tmp_path / "models") == live
    assert (refused.reason or "?").split("; ")[-1] in page_of(tmp_path, refused)


def test_a_live_model_that_cannot_be_read_stops_no_run(engine: sa.Engine, job_of: Jobs, tmp_path: Path) -> None:
    live = job_of().run().model_version
    add(engine, next_day())
    (tmp_path / "models" / live / bundle_files.ARRAYS_FILE).write_bytes(b"broken")
    found = job_of().run()
    assert found.status is TrainingStatus.SUCCEEDED
    assert "not compared: bad_hash" in page_of(tmp_path, found)


def test_runs_of_the_same_test_are_compared_as_they_measured(engine: sa.Engine, job_of: Jobs) -> None:
    """Settings on data that does not change."""
    del engine
    job = job_of()
    good = job.run().model_version
    job_of(**HARDLY_LEARNS).run()
    (worse,) = {each.name for each in (job.settings.reports_dir).iterdir()} - {good}
    found = compare_models(job, good, worse)
    lead = found.compared.leads[Figure(worse, ALL, NDCG)]
    assert lead.is_above_zero
    assert "as their runs measured them" in found.how
    text = comparison_text(found)
    (row,) = [line for line in text.splitlines() if line.startswith("NDCG@10 ")]
    assert row.endswith(f"{lead.mean:+.4f} [{lead.low:+.4f}, {lead.high:+.4f}] *")
    backwards = compare_models(job, worse, good).compared.leads[Figure(good, ALL, NDCG)]
    assert (backwards.mean, backwards.low, backwards.high) == pytest.approx((-lead.mean, -lead.high, -lead.low))


def test_published_models_are_compared_on_what_came_after_both(engine: sa.Engine, job_of: Jobs) -> None:
    job = job_of()
    old = job.run().model_version
    add(engine, next_day(DAYS))
    new = job.run().model_version
    with pytest.raises(NotComparableError, match="is of 0 users, at least 20 are needed"):
        compare_models(job, "live", old)
    add(engine, next_day(DAYS + 1))
    found = compare_models(job, "live", old)
    assert found.versions == (new, old)
    assert "as published, on what came after 2025-09-09 12:01:59" in found.how
    assert found.compared.users[ALL] == USERS
    assert found.compared.measured[new].metrics.ndcg_at_10 > 0.5


def test_what_cannot_be_compared_is_told(engine: sa.Engine, job_of: Jobs) -> None:
    del engine
    job = job_of()
    with pytest.raises(BundleError, match="no model serves"):
        compare_models(job, "live", "a")
    version = job.run().model_version
    with pytest.raises(NotComparableError, match="are one model; name two"):
        compare_models(job, "live", version)
    with pytest.raises(BundleError, match="missing"):
        compare_models(job, "live", "nothing")
