"""What operators change of the models stands in the audit trail; where it cannot be kept, it is not done."""

from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner, Result

from tests.integration.trainer.test_cli import changes
from tests.model_bundles import manifest_of, small_arrays
from trainer.adapters.bundle_store import BundleStore
from trainer.cli import app

NOWHERE: Final = "postgresql://feed@127.0.0.1:1/feed"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BundleStore:
    """Two models, of which m1 serves."""
    monkeypatch.setenv("FEED_DATA_DIR", str(tmp_path))
    store = BundleStore(tmp_path / "models", tmp_path / "keys" / "model_signing.pem")
    for version in ("m1", "m2"):
        store.publish(manifest_of(version), small_arrays())
    store.promote("m1")
    return store


def trainer(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_a_trial_and_its_end_are_kept(tmp_path: Path, store: BundleStore):
    assert trainer("canary", "m2", "--share", "0.1", "--by", "ann").exit_code == 0
    assert store.tried() == "m2"
    assert [trainer("withdraw", "--by", "bob").exit_code for _ in range(2)] == [0, 0]
    assert changes(tmp_path) == [
        ("model", "m2", "withdrawn", "bob", "cli", {}),
        ("model", "m2", "tried", "ann", "cli", {"mode": "canary", "share": 0.1}),
    ]


def test_what_is_refused_is_not_kept(tmp_path: Path, store: BundleStore):
    assert [trainer("promote", "m9").exit_code, trainer("rollback").exit_code] == [1, 1]
    assert (store.live(), changes(tmp_path)) == ("m1", [])


def test_without_a_database_a_model_serves_only_when_that_is_meant(store: BundleStore, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FEED_DATABASE_URL", NOWHERE)
    refused = trainer("promote", "m2")
    assert (refused.exit_code, store.live()) == (1, "m1")
    assert "--without-audit" in refused.stderr
    done = trainer("promote", "m2", "--without-audit")
    assert (done.exit_code, done.stderr, store.live()) == (0, "trainer: the audit trail does not tell of it\n", "m2")
