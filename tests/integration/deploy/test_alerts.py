"""The alerts that ship, as Prometheus itself takes them: each fires when it should, and only then."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from bridge.settings import BridgeSettings
from deploy.monitoring.alerts import groups
from deploy.monitoring.made import RULES
from insights.settings import InsightsSettings
from interactions.settings import InteractionsSettings
from interactions.sink.settings import SinkSettings
from scorer.settings import ScorerSettings
from tests.integration.deploy.alert_cases import CASES
from tests.prometheus import promtool
from tests.system import HTTP, ROOT
from trainer.domain.runs import NO_GOOD_MODEL
from trainer.settings import TrainerSettings

GROUPS = groups([f"feed-{name}" for name in HTTP])
GROUP_OF = {f"{alert.name} {alert.severity}": group for group in GROUPS for alert in group.alerts}
RUNBOOKS = ROOT / "docs/runbooks"
PARTS = ["What it means", "How to confirm", "What users see", "What to do"]


def history(key: str, series: Sequence[str], *, fires: bool) -> dict[str, Any]:
    """A test of promtool: whether an alert fires at the end of a history."""
    case, (name, severity) = CASES[key], key.split()
    ends = [each.index(" ", each.rfind("}") + 1 if "}" in each else 0) for each in series]
    firing = f'count(ALERTS{{alertname="{name}", severity="{severity}", alertstate="firing"}}) > bool 0'
    return {
        "interval": case.step,
        "input_series": [
            {"series": each[:end], "values": each[end:].strip()} for each, end in zip(series, ends, strict=True)
        ],
        "promql_expr_test": [
            {
                "expr": firing,
                "eval_time": case.at,
                "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
            }
        ],
    }


@pytest.mark.parametrize("key", CASES)
def test_an_alert_fires_when_it_should_and_only_then(key: str, tmp_path: Path) -> None:
    case = CASES[key]
    written = {
        "rule_files": [str(ROOT / RULES / f"{GROUP_OF[key].name}.yml")],
        "evaluation_interval": case.step,
        "tests": [history(key, case.fires, fires=True), *(history(key, each, fires=False) for each in case.quiet)],
    }
    path = tmp_path / "test.yml"
    path.write_text(yaml.safe_dump(written), "utf-8")
    promtool("test", "rules", path)


def test_every_alert_has_its_cases() -> None:
    assert list(CASES) == list(GROUP_OF)


def test_the_rules_are_as_prometheus_wants_them() -> None:
    promtool("check", "config", ROOT / "deploy/prometheus/prometheus.yml")


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"} == {key.split()[0] for key in GROUP_OF}


@pytest.mark.parametrize("path", sorted(RUNBOOKS.glob("Feed*.md")), ids=lambda path: path.stem)
def test_a_runbook_says_what_it_means_how_to_confirm_what_users_see_and_what_to_do(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.startswith(f"# {path.stem}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == PARTS
    parts = [*re.split(r"^## .+$", text, flags=re.MULTILINE)[1:]]
    assert all(part.strip() for part in parts)
    assert "`" in parts[1], "no command to confirm it with"


def test_the_page_and_the_event_have_the_same_bound() -> None:
    (alert,) = (alert for group in GROUPS for alert in group.alerts if alert.name == "FeedTrainerNoGoodModel")
    assert alert.expression.endswith(f"> {NO_GOOD_MODEL.total_seconds():.0f}")


def test_runbooks_name_settings_that_there_are() -> None:
    text = "".join(path.read_text("utf-8") for path in RUNBOOKS.glob("Feed*.md"))
    every = (BridgeSettings, ScorerSettings, InteractionsSettings, SinkSettings, InsightsSettings, TrainerSettings)
    known = {f"FEED_{field.upper()}" for settings in every for field in settings.model_fields}
    assert set(re.findall(r"FEED_[A-Z_]+", text)) <= known
