"""`feed corrections`: what an operator sees."""

from pathlib import Path

import pytest

from deploy.corrections_cli import app
from storage.database import upgrade
from tests.commands import Operator


@pytest.fixture
def feed_corrections(tmp_path: Path) -> Operator:
    url = f"sqlite:///{tmp_path / 'feed.db'}"
    upgrade(url)
    return Operator(app, url)


def test_a_correction_is_added_listed_and_switched_off(feed_corrections: Operator) -> None:
    added = feed_corrections(
        "add", "boost", "--value", "2.5", "--tag", "cats", "--user", "u1", "--reason", "spring", "--by", "ann"
    )
    assert added.exit_code == 0
    made = added.stdout.strip()
    (line,) = feed_corrections("list").stdout.splitlines()
    assert line.startswith(made)
    assert line.endswith('boost 2.5  user u1  tag cats  "spring"  by ann')
    off = feed_corrections("off", made)
    assert (off.exit_code, "  off  boost" in off.stdout) == (0, True)
    assert feed_corrections("off", made).stdout == off.stdout
    assert feed_corrections("list").stdout == ""
    assert feed_corrections("list", "--all").stdout == off.stdout


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["praise", "--video", "v1"], "KIND: must be one of BOOST, REDUCE, BLOCK, REWEIGHT"),
        (["boost", "--video", "v1", "--value", "300"], "--value: must be a number from -100 to 100"),
        (["block"], "name a video, or an author, tag or language"),
        (["reweight", "--value", "1", "--part", "luck"], "--part: must be one of user_item, item_bias, prior"),
        (["block", "--tag", "cats", "--author", "ann"], "give one of --author, --tag, --language and --part"),
        (["block", "--video", "v1", "--user", "a b"], "--user: must be 1 to 128 characters of A-Z a-z 0-9 _ . : -"),
    ],
    ids=["kind", "value", "all-videos", "part", "two-targets", "user"],
)
def test_what_makes_no_sense_is_refused_with_what_is_accepted(
    arguments: list[str], text: str, feed_corrections: Operator
) -> None:
    refused = feed_corrections("add", *arguments, "--reason", "why", "--by", "ann")
    assert refused.exit_code == 2
    assert text in refused.stderr
    assert feed_corrections("list").stdout == ""


def test_one_that_is_not_there_is_told(feed_corrections: Operator) -> None:
    missing = feed_corrections("off", "none")
    assert (missing.exit_code, missing.stderr) == (1, "there is no correction none\n")


@pytest.mark.parametrize(
    "url", ["sqlite:////dev/null/feed.db", "sqlite://///dev/full", "postgresql://nobody@127.0.0.1:1/none"]
)
def test_a_database_that_is_down_is_told(url: str) -> None:
    shown = Operator(app, url)("list")
    assert shown.exit_code == 1
    assert "the database cannot be used" in shown.stderr
