"""The alerts that ship: they ask for metrics that are there, and lead to what to do."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client import CollectorRegistry

from storage.trainings import Register, RunStatus, TrainingStatus
from tests.system import ROOT
from trainer.domain.runs import NO_GOOD_MODEL
from trainer.metrics import TrainerMetrics


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((ROOT / "deploy/prometheus/rules/trainer.yml").read_text("utf-8"))["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


@pytest.fixture
def shown(tmp_path: Path) -> set[str]:
    """Names of all samples of a scheduler that has seen a run."""
    registry, now = CollectorRegistry(), datetime.now(UTC)
    run = RunStatus("m1", "job", "als", TrainingStatus.FAILED, "why", now, now, now, {}, {}, {}, {})
    TrainerMetrics(registry, tmp_path).saw(Register(run, None), {"mlflow": None})
    return {sample.name for metric in registry.collect() for sample in metric.samples}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_metrics_that_are_there_and_leads_to_what_to_do(
    rule: dict[str, Any], shown: set[str]
) -> None:
    asked = set(re.findall(r"feed_trainer_\w+", rule["expr"]))
    assert asked
    assert asked <= shown
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    heads = re.findall(r"^#+ (.+)$", (ROOT / page).read_text("utf-8"), re.MULTILINE)
    assert anchor in {head.lower().replace(" ", "-") for head in heads}
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"]


def test_the_page_and_the_event_have_the_same_bound() -> None:
    (rule,) = (rule for rule in rules() if rule["alert"] == "FeedTrainerNoGoodModel")
    assert rule["expr"].endswith(f"> {NO_GOOD_MODEL.total_seconds():.0f}")
