"""What Terraform brings: the same topics, rights, tables and alerts as the code has, and no right beyond.

Providers come from a registry of their own, which not every machine reaches: what needs none is run by Terraform, the
rest is read.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import hcl2
import pytest

from deploy.terraform.__main__ import FILE
from deploy.terraform.declared import text
from deploy.terraform.monitors import MONITORS, Monitor, alert_of
from storage.tables import user_interactions
from tests.system import ROOT
from trainer.adapters.status_snowflake import table_definition

FOLDER: Final = ROOT / "deploy/terraform"
MODULES: Final = sorted(path.parent for path in FOLDER.rglob("main.tf"))
DECLARED: Final = json.loads(FILE.read_text("utf-8"))


def terraform(*arguments: str, folder: Path) -> str:
    """Runs it to its end; where it is not there, the test is skipped: no package registry has it."""
    program = shutil.which("terraform")
    if program is None:
        pytest.skip("needs terraform: https://developer.hashicorp.com/terraform/install")
    environ = {**os.environ, "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
    done = subprocess.run(
        [program, *arguments], cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout


def read(folder: Path) -> Mapping[str, Any]:
    """A module as it is written."""
    with (folder / "main.tf").open() as file:
        found: Mapping[str, Any] = hcl2.load(file)
    return found


def named(blocks: list[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Blocks with one label, by that."""
    return {name.strip('"'): block for each in blocks for name, block in each.items() if not name.startswith("__")}


def test_what_is_declared_is_in_step_with_the_code() -> None:
    assert FILE.read_text("utf-8") == text(), "run make terraform"


def test_the_producer_may_write_its_topic_and_nothing_else() -> None:
    """Connect and DescribeTopic are what AWS requires beside WriteData and WriteDataIdempotently."""
    assert DECLARED["msk"]["feed-rec-producer"] == [
        {
            "resource": "cluster",
            "name": "",
            "actions": ["kafka-cluster:Connect", "kafka-cluster:WriteDataIdempotently"],
        },
        {
            "resource": "topic",
            "name": "feed.interactions.v1",
            "actions": ["kafka-cluster:DescribeTopic", "kafka-cluster:WriteData"],
        },
    ]


@pytest.mark.parametrize("principal", DECLARED["msk"])
def test_a_role_has_on_msk_what_its_principal_has_elsewhere(principal: str) -> None:
    of_acls = {
        (acl["resource_type"].lower(), acl["resource_name"], acl["operation"])
        for acl in DECLARED["acls"]
        if acl["principal"] == principal and acl["operation"] != "Describe"
    }
    operations = {"WriteData": "Write", "ReadData": "Read", "AlterGroup": "Read"}
    of_policy = {
        (statement["resource"], statement["name"], operations[action])
        for statement in DECLARED["msk"][principal]
        for action in (each.removeprefix("kafka-cluster:") for each in statement["actions"])
        if action in operations
    }
    assert of_policy == of_acls
    assert "*" not in json.dumps(DECLARED["msk"][principal])


def test_snowflakes_tables_have_the_columns_of_the_code() -> None:
    interactions, trainings = (DECLARED["tables"][name] for name in ("USER_INTERACTIONS", "MODEL_TRAININGS"))
    assert [each["name"].lower() for each in interactions] == [
        column.name for column in user_interactions.columns if column.name != "id"
    ]
    written = [line.split()[0] for line in table_definition("MODEL_TRAININGS").splitlines()[1:-1]]
    assert [each["name"] for each in trainings] == written
    assert {each["name"] for each in trainings if not each["nullable"]} == {
        "RUN_ID",
        "JOB_NAME",
        "STATE",
        "ALGORITHM",
        "STARTED_TIME",
    }


@pytest.mark.parametrize("monitor", MONITORS, ids=lambda monitor: monitor.key)
def test_a_monitor_fires_where_its_alert_does_and_asks_for_what_datadog_is_told(monitor: Monitor) -> None:
    assert alert_of(monitor).expression.endswith(f"> {monitor.over:g}")
    told = "".join((ROOT / name).read_text("utf-8") for name in ("docs/metrics.md", "docs/nightly.md"))
    assert monitor.metrics
    assert [name for name in monitor.metrics if f"`{name}`" not in told] == []
    assert (ROOT / alert_of(monitor).runbook).exists()


@pytest.mark.parametrize("folder", MODULES, ids=lambda folder: folder.name)
def test_a_module_says_what_it_takes_and_which_providers(folder: Path) -> None:
    module = read(folder)
    settings = module["terraform"][0]
    for name, provider in settings.get("required_providers", [{}])[0].items():
        assert name.startswith("__") or {"source", "version"} <= provider.keys(), name
    for name, variable in named(module.get("variable", [])).items():
        assert {"description", "type"} <= variable.keys(), name
    for name, output in named(module.get("output", [])).items():
        assert "description" in output, name


def test_modules_are_given_what_they_take() -> None:
    for name, call in named(read(FOLDER)["module"]).items():
        module = read(FOLDER / call["source"].strip('"'))
        variables = named(module.get("variable", []))
        needed = {each for each, variable in variables.items() if "default" not in variable}
        given = {each for each in call if each != "source" and not each.startswith("__")}
        assert needed <= given <= variables.keys(), name


@pytest.mark.parametrize("folder", MODULES, ids=lambda folder: folder.name)
def test_what_is_asked_of_the_declaration_is_there(folder: Path) -> None:
    asked = set(re.findall(r"module\.declared\.(\w+)", (folder / "main.tf").read_text("utf-8")))
    assert asked <= named(read(FOLDER / "modules/declared")["output"]).keys()


def test_it_is_formatted() -> None:
    terraform("fmt", "-check", "-recursive", folder=FOLDER)


def test_policies_are_as_they_should_be(tmp_path: Path) -> None:
    """Of a copy: Terraform notes beside a module what it has of it."""
    shutil.copytree(FOLDER, tmp_path / "terraform")
    module = tmp_path / "terraform/modules/declared"
    terraform("init", "-backend=false", "-input=false", folder=module)
    terraform("validate", folder=module)
    assert "3 passed, 0 failed" in terraform("test", "-no-color", folder=module)
