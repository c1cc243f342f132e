"""`feed trainer shadow`, `canary`, `withdraw` and `models`: what they say, and what else touches a candidate."""

from pathlib import Path

import pytest

from runtime.models import candidate_file
from runtime.models.candidate_file import CANDIDATE_FILE, Candidate, Mode
from runtime.models.model_bundle import BundleError, BundleFault
from tests.integration.trainer.test_cli import trainer
from tests.model_bundles import manifest_of, small_arrays
from trainer.adapters.bundle_store import BundleStore, ServesAlreadyError


@pytest.fixture
def store(tmp_path: Path) -> BundleStore:
    """Four models, of which m3 serves."""
    store = BundleStore(tmp_path / "models", tmp_path / "keys" / "model_signing.pem")
    for version in ("m1", "m2", "m3", "m4"):
        store.publish(manifest_of(version), small_arrays())
    store.promote("m3")
    return store


def damage(folder: Path, version: str) -> None:
    (folder / "models" / version / "arrays.npz").write_bytes(b"damaged")


def test_the_commands_say_what_they_did(store: BundleStore, tmp_path: Path) -> None:
    shadow = trainer(tmp_path, "shadow", "m4")
    assert (shadow.stdout, store.candidate()) == ("shadow: m4, 10% of users\n", Candidate("m4", Mode.SHADOW, 0.1))
    canary = trainer(tmp_path, "canary", "m4", "--share", "0.005")
    assert (canary.stdout, store.candidate()) == ("canary: m4, 0.5% of users\n", Candidate("m4", Mode.CANARY, 0.005))
    (tmp_path / "models" / "m1" / "manifest.sig").write_bytes(bytes(64))
    listed = trainer(tmp_path, "models")
    facts = "2025-09-01 02:00 UTC  lightfm-warp  0.5000"
    assert listed.stdout.splitlines()[1:] == [
        f"m4     {facts}   canary, 0.5% of users",
        f"m3     {facts}   serves",
        f"m2     {facts}",
        f"m1{' ' * 50}bad_signature: not signed with our key",
    ]
    assert trainer(tmp_path, "withdraw").stdout == "no model is tried\n"
    assert store.candidate() is None


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        pytest.param(["canary", "m3"], 1, "m3 serves already; name another model", id="the live one"),
        pytest.param(["shadow", "m9"], 1, "missing: no manifest.json", id="no such model"),
        pytest.param(
            ["canary", "m4", "--share", "5"], 2, "'--share': Input should be less than or equal to 1", id="no share"
        ),
    ],
)
def test_what_cannot_be_tried_is_a_sentence(
    store: BundleStore, tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    done = trainer(tmp_path, *arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert store.candidate() is None


def test_a_bad_model_does_not_take_the_place_of_a_good_candidate(store: BundleStore, tmp_path: Path) -> None:
    tried = Candidate("m4", Mode.SHADOW, 0.1)
    store.try_out(tried)
    damage(tmp_path, "m2")
    with pytest.raises(BundleError) as refused:
        store.try_out(Candidate("m2", Mode.CANARY, 0.1))
    assert refused.value.fault is BundleFault.BAD_HASH
    with pytest.raises(ServesAlreadyError):
        store.try_out(Candidate("m3", Mode.CANARY, 0.1))
    assert store.candidate() == tried


def test_a_promotion_ends_the_trial_of_that_model_alone(store: BundleStore) -> None:
    tried = Candidate("m4", Mode.CANARY, 0.1)
    store.try_out(tried)
    store.promote("m2")
    assert store.candidate() == tried
    store.promote("m4")
    assert (store.live(), store.candidate()) == ("m4", None)


def test_a_rollback_passes_over_what_is_still_tried(store: BundleStore) -> None:
    tried = Candidate("m2", Mode.CANARY, 0.1)
    store.try_out(tried)
    assert store.rollback() == "m1"
    assert (store.live(), store.candidate()) == ("m1", tried)


def test_a_rollback_passes_over_what_has_never_served(store: BundleStore) -> None:
    store.promote("m1")
    store.promote("m3")
    assert store.rollback() == "m1"


def test_what_is_tried_is_not_deleted(store: BundleStore) -> None:
    store.try_out(Candidate("m1", Mode.SHADOW, 0.1))
    assert store.prune(keep=1) == ["m2"]
    assert store.versions() == ["m1", "m3", "m4"]


def test_a_file_that_holds_something_else_is_told_and_hinders_nothing(store: BundleStore, tmp_path: Path) -> None:
    (tmp_path / "models" / CANDIDATE_FILE).write_text("m4")
    done = trainer(tmp_path, "models")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("trainer: bad_manifest: CANDIDATE: ")
    store.promote("m4")
    assert store.rollback() == "m3"
    assert store.prune(keep=1) == ["m1", "m2"]
    store.withdraw()
    assert candidate_file.read(tmp_path / "models") is None
