"""The index of a bundle: signed like the arrays, and refused like them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from runtime.models import bundle_files
from runtime.models.bundle_files import INDEX_FILE
from runtime.models.model_bundle import BundleError, BundleFault, IndexInfo
from tests.model_bundles import manifest_of, small_arrays

KEY = Ed25519PrivateKey.generate()
CONTENT = b"an index, as far as files go"
INFO = IndexInfo("IVF4,SQ8", probes=2, recall_at_50=0.99)


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    bundle_files.publish(tmp_path, manifest_of(index=INFO), small_arrays(), KEY, CONTENT)
    return tmp_path


def test_what_is_published_comes_back(models_dir: Path) -> None:
    bundle = bundle_files.read(models_dir, "m1", KEY.public_key())
    info = bundle.manifest.index
    assert bundle.index == CONTENT
    assert info is not None
    assert (info.type, info.probes, info.recall_at_50, info.size_bytes) == ("IVF4,SQ8", 2, 0.99, len(CONTENT))


def test_a_file_that_the_manifest_does_not_state_is_not_read(tmp_path: Path) -> None:
    bundle_files.publish(tmp_path, manifest_of(), small_arrays(), KEY)
    (tmp_path / "m1" / INDEX_FILE).write_bytes(CONTENT)
    assert bundle_files.read(tmp_path, "m1", KEY.public_key()).index is None


@pytest.mark.parametrize(
    ("attack", "expected"),
    [
        pytest.param(lambda path: path.write_bytes(b"A" + CONTENT[1:]), BundleFault.BAD_HASH, id="another byte"),
        pytest.param(lambda path: path.write_bytes(CONTENT[:-1]), BundleFault.BAD_HASH, id="shorter"),
        pytest.param(lambda path: path.write_bytes(CONTENT + b"x"), BundleFault.TOO_LARGE, id="longer"),
        pytest.param(lambda path: path.write_bytes(b""), BundleFault.BAD_HASH, id="empty"),
        pytest.param(lambda path: path.unlink(), BundleFault.MISSING, id="gone"),
    ],
)
def test_a_changed_index_is_refused(models_dir: Path, attack: Callable[[Path], object], expected: BundleFault) -> None:
    attack(models_dir / "m1" / INDEX_FILE)
    with pytest.raises(BundleError) as refused:
        bundle_files.read(models_dir, "m1", KEY.public_key())
    assert refused.value.fault is expected


@pytest.mark.parametrize(("info", "content"), [(INFO, None), (None, CONTENT)])
def test_an_index_and_its_facts_come_together(tmp_path: Path, info: IndexInfo | None, content: bytes | None) -> None:
    with pytest.raises(BundleError) as refused:
        bundle_files.publish(tmp_path, manifest_of(index=info), small_arrays(), KEY, content)
    assert refused.value.fault is BundleFault.BAD_INDEX
    assert list(tmp_path.iterdir()) == []
