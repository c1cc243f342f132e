"""`feed audit`: what an operator sees."""

from functools import partial
from pathlib import Path

import pytest
import typer

from deploy import corrections_cli, experiments_cli
from deploy.audit_cli import audit_log
from storage.database import upgrade
from tests.commands import Operator


@pytest.fixture
def operator(tmp_path: Path) -> "partial[Operator]":
    url = f"sqlite:///{tmp_path / 'feed.db'}"
    upgrade(url)
    return partial(Operator, url=url)


@pytest.fixture
def feed_audit(operator: "partial[Operator]") -> Operator:
    app = typer.Typer()
    app.command()(audit_log)
    return operator(app)


def test_changes_are_listed_newest_first(operator: "partial[Operator]", feed_audit: Operator) -> None:
    feed_corrections, feed_experiment = operator(corrections_cli.app), operator(experiments_cli.app)
    made = feed_corrections("add", "block", "--video", "v1", "--reason", "spam", "--by", "ann").stdout.strip()
    feed_corrections("off", made, "--by", "bob")
    feed_experiment("create", "calm", "--variant", "a", "--variant", "b", "--by", "cleo")
    feed_experiment("start", "calm", "--by", "dora")
    feed_experiment("stop", "calm", "--by", "emma")
    told = [line.split("  ", 1)[1] for line in feed_audit().stdout.splitlines()]
    assert [each.split("  {")[0] for each in told] == [
        "experiment/calm  stopped  by emma  (cli)",
        "experiment/calm  started  by dora  (cli)",
        "experiment/calm  created  by cleo  (cli)",
        f"correction/{made}  deactivated  by bob  (cli)",
        f"correction/{made}  created  by ann  (cli)",
    ]
    assert told[-1].endswith('{"correction_type": "BLOCK", "video_id": "v1"}')
    assert len(feed_audit("--limit", "2").stdout.splitlines()) == 2
    assert len(feed_audit("--subject", "experiment/calm").stdout.splitlines()) == 3
    assert len(feed_audit("--subject", "correction").stdout.splitlines()) == 2


def test_a_wrong_subject_is_refused_with_what_is_accepted(feed_audit: Operator) -> None:
    refused = feed_audit("--subject", "video/v1")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "--subject: must be correction, experiment, model, or one of them, such as experiment/calm" in refused.stderr
