"""`feed experiment`: what an operator sees."""

from pathlib import Path

import pytest

from deploy.experiments_cli import app
from storage.database import upgrade
from tests.commands import Operator


@pytest.fixture
def feed_experiment(tmp_path: Path) -> Operator:
    url = f"sqlite:///{tmp_path / 'feed.db'}"
    upgrade(url)
    return Operator(app, url)


def test_an_experiment_is_made_started_looked_at_and_stopped(feed_experiment: Operator) -> None:
    made = feed_experiment(
        "create", "calm", "--variant", "control", "--variant", "calm=3", "--set", "calm.diversity=0.4",
        "--set", "calm.max_run=1", "--variant", "plain", "--ranked-by", "plain=trending", "--hypothesis", "less alike",
        "--by", "ann",
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    assert made.stdout.startswith(
        "calm  draft  100.00% of layer feed  control 1; calm 3 (diversity=0.4, max_run=1); plain 1 (trending)"
        '  "less alike"  by ann  made '
    )
    assert feed_experiment("of", "u1").stdout == ""
    assert feed_experiment("start", "calm").stdout.startswith("calm  running")
    given = {
        feed_experiment("of", f"u{number}").stdout.strip() for number in range(60)
    }  # one in 300,000 misses a variant
    assert given == {"calm=control", "calm=calm", "calm=plain"}
    (line,) = feed_experiment("list").stdout.splitlines()
    assert "  started " in line
    stopped = feed_experiment("stop", "calm")
    assert stopped.stdout.startswith("calm  stopped")
    assert feed_experiment("list").stdout == ""
    assert feed_experiment("list", "--all").stdout == stopped.stdout


CREATE = ("create", "calm", "--variant", "control", "--variant", "other")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((*CREATE, "--traffic", "2"), "--traffic: must be a share of the users from 0.0001 to 1"),
        (("create", "calm", "--variant", "control"), "--variant: must be 2 to 10"),
        ((*CREATE, "--variant", "other=2"), "--variant other: give each name once"),
        ((*CREATE, "--variant", "x=much"), "--variant x=much: must end with a number"),
        ((*CREATE, "--set", "other.shuffle=2"), "--set shuffle: of other: must be a number from 0 to 1"),
        ((*CREATE, "--set", "nobody.shuffle=1"), "--set nobody.shuffle=1: must be VARIANT.PARAMETER=VALUE"),
        ((*CREATE, "--set", "other.luck=1"), "the parameter must be one of shuffle, diversity"),
        ((*CREATE, "--ranked-by", "other=me"), "must be a --variant, = and one of model, candidate, trending"),
        (("start", "calm"), "NAME: there is no experiment calm"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_is_accepted(
    arguments: tuple[str, ...], text: str, feed_experiment: Operator
) -> None:
    refused = feed_experiment(*arguments)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert text in refused.stderr
    assert feed_experiment("list").stdout == ""
