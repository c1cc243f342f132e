"""Model bundles: what is written comes back, and nothing else is ever taken."""

import dataclasses
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from runtime.models import bundle_files
from runtime.models.bundle_files import ARRAYS_FILE, LIVE_FILE, MANIFEST_FILE, MAX_ARRAYS_BYTES, SIGNATURE_FILE
from runtime.models.model_bundle import (
    FORMAT_VERSION,
    ArrayInfo,
    BundleError,
    BundleFault,
    find_text,
    find_texts,
    text_table,
)
from tests.model_bundles import TRAINED, forge, manifest_of, small_arrays

KEY = Ed25519PrivateKey.generate()


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    bundle_files.publish(tmp_path, manifest_of(), small_arrays(), KEY)
    return tmp_path


def fault(models_dir: Path, version: str = "m1") -> BundleFault:
    with pytest.raises(BundleError) as refused:
        bundle_files.read(models_dir, version, KEY.public_key())
    return refused.value.fault


def test_what_is_published_comes_back(models_dir: Path) -> None:
    bundle = bundle_files.read(models_dir, "m1", KEY.public_key())
    written = small_arrays().named()
    assert {name: array.tolist() for name, array in bundle.arrays.named().items()} == {
        name: array.tolist() for name, array in written.items()
    }
    assert bundle.manifest.metrics == {"ndcg_at_10": 0.5}
    assert bundle.manifest.arrays["user_factors"].shape == (3, 4)
    assert bundle_files.read_manifest(models_dir, "m1", KEY.public_key()) == bundle.manifest


def test_a_version_is_published_once(models_dir: Path) -> None:
    with pytest.raises(FileExistsError):
        bundle_files.publish(models_dir, manifest_of(), small_arrays(), KEY)


def test_nothing_is_left_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A half-written bundle never has a name that anybody reads."""

    def broken(_self: Path, _target: Path) -> Path:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "rename", broken)
    with pytest.raises(OSError, match="disk full"):
        bundle_files.publish(tmp_path, manifest_of(), small_arrays(), KEY)
    assert list(tmp_path.iterdir()) == []


def test_a_broken_model_is_not_even_written(tmp_path: Path) -> None:
    arrays = dataclasses.replace(small_arrays(), item_prior=np.full(5, np.nan, np.float32))
    with pytest.raises(BundleError) as refused:
        bundle_files.publish(tmp_path, manifest_of(), arrays, KEY)
    assert refused.value.fault is BundleFault.NOT_FINITE
    assert list(tmp_path.iterdir()) == []


def flipped(name: str, place: int) -> Callable[[Path], None]:
    def attack(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[place] ^= 1
        (folder / name).write_bytes(content)

    return attack


@pytest.mark.parametrize(
    ("attack", "expected"),
    [
        pytest.param(flipped(ARRAYS_FILE, 500), BundleFault.BAD_HASH, id="bit of the arrays"),
        pytest.param(flipped(ARRAYS_FILE, -1), BundleFault.BAD_HASH, id="last bit of the arrays"),
        pytest.param(flipped(MANIFEST_FILE, 30), BundleFault.BAD_SIGNATURE, id="bit of the manifest"),
        pytest.param(flipped(SIGNATURE_FILE, 3), BundleFault.BAD_SIGNATURE, id="bit of the signature"),
        pytest.param(
            lambda folder: (folder / SIGNATURE_FILE).write_bytes(b""), BundleFault.BAD_SIGNATURE, id="empty signature"
        ),
        pytest.param(
            lambda folder: (folder / SIGNATURE_FILE).write_bytes(bytes(65)), BundleFault.TOO_LARGE, id="long signature"
        ),
        pytest.param(
            lambda folder: (folder / MANIFEST_FILE).write_bytes(bytes(2 << 20)),
            BundleFault.TOO_LARGE,
            id="2 MB manifest",
        ),
        pytest.param(
            lambda folder: (folder / ARRAYS_FILE).write_bytes((folder / ARRAYS_FILE).read_bytes() + b"x"),
            BundleFault.TOO_LARGE,
            id="longer arrays",
        ),
        pytest.param(lambda folder: (folder / ARRAYS_FILE).write_bytes(b""), BundleFault.BAD_HASH, id="no bytes"),
        pytest.param(lambda folder: (folder / ARRAYS_FILE).unlink(), BundleFault.MISSING, id="arrays gone"),
        pytest.param(lambda folder: (folder / SIGNATURE_FILE).unlink(), BundleFault.MISSING, id="signature gone"),
    ],
)
def test_a_changed_bundle_is_refused(models_dir: Path, attack: Callable[[Path], Any], expected: BundleFault) -> None:
    attack(models_dir / "m1")
    assert fault(models_dir) is expected


def test_another_key_is_refused(models_dir: Path) -> None:
    with pytest.raises(BundleError) as refused:
        bundle_files.read(models_dir, "m1", Ed25519PrivateKey.generate().public_key())
    assert refused.value.fault is BundleFault.BAD_SIGNATURE


def test_a_bundle_under_another_name_is_refused(models_dir: Path) -> None:
    """An old, validly signed bundle must not pass for a newer one."""
    (models_dir / "m1").rename(models_dir / "m2")
    assert fault(models_dir, "m2") is BundleFault.BAD_MANIFEST


class MarksItsExecution:
    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self._marker,))


def test_a_pickle_in_the_arrays_is_never_run(tmp_path: Path) -> None:
    """Even signed with our key: no code comes from a bundle."""
    marker = tmp_path / "executed"
    hostile = np.array([MarksItsExecution(marker)], dtype=object)
    forge(tmp_path, KEY, {**small_arrays().named(), "item_prior": hostile}, allow_pickle=True)
    assert fault(tmp_path) is BundleFault.BAD_ARRAYS
    assert not marker.exists()


def changed(**changes: Any) -> dict[str, Any]:
    return {**small_arrays().named(), **changes}


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        pytest.param(
            changed(item_prior=np.full(5, np.nan, np.float32)), BundleFault.NOT_FINITE, id="prior is not a number"
        ),
        pytest.param(
            changed(item_factors=np.full((5, 4), np.inf, np.float32)), BundleFault.NOT_FINITE, id="infinite factors"
        ),
        pytest.param(changed(item_prior=np.zeros(4, np.float32)), BundleFault.BAD_ARRAYS, id="prior too short"),
        pytest.param(changed(item_prior=np.zeros(5)), BundleFault.BAD_ARRAYS, id="prior in float64"),
        pytest.param(changed(user_factors=np.zeros((3, 5), np.float32)), BundleFault.BAD_ARRAYS, id="a column more"),
        pytest.param(changed(user_factors=np.zeros((2, 4), np.float32)), BundleFault.BAD_ARRAYS, id="a user less"),
        pytest.param(changed(seen_items=np.array([5], np.int32)), BundleFault.BAD_ARRAYS, id="seen outside"),
        pytest.param(changed(seen_items=np.array([-1], np.int32)), BundleFault.BAD_ARRAYS, id="seen below zero"),
        pytest.param(
            changed(seen_offsets=np.array([0, 1, 0, 1], np.int64)), BundleFault.BAD_ARRAYS, id="offsets go back"
        ),
        pytest.param(changed(seen_offsets=np.array([0, 0, 0, 9], np.int64)), BundleFault.BAD_ARRAYS, id="offsets end"),
        pytest.param(changed(item_author=np.zeros(5, np.int32)), BundleFault.BAD_ARRAYS, id="author without a name"),
        pytest.param(
            changed(user_ids=np.array([b"up", b"down", b"none"])), BundleFault.BAD_ARRAYS, id="users not sorted"
        ),
        pytest.param(changed(user_ids=np.array([b"a", b"a", b"b"])), BundleFault.BAD_ARRAYS, id="users twice"),
        pytest.param(changed(item_prior=np.full(5, 2e9, np.float32)), BundleFault.NOT_FINITE, id="products overflow"),
        pytest.param(changed(user_ids=np.array([b"a", b"b", b"\xc3"])), BundleFault.BAD_ARRAYS, id="half a character"),
        pytest.param(
            changed(user_ids=np.array([b"a", b"b\xc3", b"\xa4"])), BundleFault.BAD_ARRAYS, id="a character in halves"
        ),
        pytest.param(changed(user_ids=np.array([b"a", b"b\nb", b"c"])), BundleFault.BAD_ARRAYS, id="two lines"),
        pytest.param(changed(extra=np.zeros(1)), BundleFault.BAD_ARRAYS, id="an array more"),
        pytest.param(
            {name: array for name, array in changed().items() if name != "tags"}, BundleFault.BAD_ARRAYS, id="one less"
        ),
    ],
)
def test_a_signed_but_broken_model_is_refused(tmp_path: Path, named: dict[str, Any], expected: BundleFault) -> None:
    forge(tmp_path, KEY, named)
    assert fault(tmp_path) is expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"format_version": FORMAT_VERSION + 1}, BundleFault.BAD_MANIFEST, id="a later format"),
        pytest.param({"contract": "v2024.1"}, BundleFault.OTHER_CONTRACT, id="another contract"),
        pytest.param({"dimensions": 3}, BundleFault.BAD_ARRAYS, id="other dimensions"),
        pytest.param({"dimensions": -1}, BundleFault.BAD_MANIFEST, id="a count below 0"),
        pytest.param({"threads": 10**4000}, BundleFault.BAD_MANIFEST, id="a count beyond all"),
        pytest.param({"algorithm": "a" * 65}, BundleFault.BAD_MANIFEST, id="a long name"),
        pytest.param({"metrics": {f"m{n}": 0.0 for n in range(65)}}, BundleFault.BAD_MANIFEST, id="many metrics"),
        pytest.param({"created_time": TRAINED.replace(tzinfo=None)}, BundleFault.BAD_MANIFEST, id="a time of nowhere"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(
    tmp_path: Path, changes: dict[str, Any], expected: BundleFault
) -> None:
    forge(tmp_path, KEY, changed(), **changes)
    assert fault(tmp_path) is expected


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"[" * 100_000, b'{"algorithm":"\xff"}', b'{"seed":NaN}'])
def test_a_signed_text_that_is_no_manifest_is_refused(models_dir: Path, text: bytes) -> None:
    (models_dir / "m1" / MANIFEST_FILE).write_bytes(text)
    (models_dir / "m1" / SIGNATURE_FILE).write_bytes(KEY.sign(text))
    assert fault(models_dir) is BundleFault.BAD_MANIFEST


@pytest.mark.parametrize("version", ["../m1", "", ".", ".m1", "a/b", "m1\0", "x" * 65])
def test_a_name_that_leads_elsewhere_is_no_version(models_dir: Path, version: str) -> None:
    assert fault(models_dir, version) is BundleFault.BAD_MANIFEST


def linked(folder: Path, name: str) -> None:
    (folder / name).rename(folder.parent / name)
    (folder / name).symlink_to(folder.parent / name)


def piped(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)


def made_a_folder(folder: Path, name: str) -> None:
    (folder / name).unlink()
    (folder / name).mkdir()


@pytest.mark.parametrize("name", [ARRAYS_FILE, MANIFEST_FILE, SIGNATURE_FILE])
@pytest.mark.parametrize("attack", [linked, piped, made_a_folder])
def test_only_regular_files_are_read(models_dir: Path, attack: Callable[[Path, str], None], name: str) -> None:
    """Neither is a link followed, nor does anybody wait for whoever writes to a pipe."""
    attack(models_dir / "m1", name)
    assert fault(models_dir) is BundleFault.NOT_A_FILE


def test_a_folder_behind_a_link_is_refused(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "m1"
    (models_dir / "m1").rename(elsewhere)
    (models_dir / "m1").symlink_to(elsewhere)
    assert fault(models_dir) is BundleFault.NOT_A_FILE


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"arrays_bytes": 1 << 40}, id="a size beyond all"),
        pytest.param({"arrays_bytes": 1 << 20}, id="a size beyond the arrays"),
    ],
)
def test_a_size_is_judged_before_anything_is_read(tmp_path: Path, changes: dict[str, Any]) -> None:
    forge(tmp_path, KEY, changed(), **changes)
    (tmp_path / "m1" / ARRAYS_FILE).unlink()
    assert fault(tmp_path) is BundleFault.TOO_LARGE


def test_no_room_is_made_for_what_is_not_there(tmp_path: Path) -> None:
    """A manifest may state 4 GB; the file itself says how much is read."""
    named = {**changed(), "item_prior": np.lib.stride_tricks.as_strided(np.zeros(1, np.float32), (1 << 30,), (0,))}
    info = {name: ArrayInfo(np.shape(array), array.dtype.str) for name, array in named.items()}
    forge(tmp_path, KEY, changed(), arrays=info, arrays_bytes=MAX_ARRAYS_BYTES)
    tracemalloc.start()
    try:
        assert fault(tmp_path) is BundleFault.BAD_HASH
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("text", ["../../etc/passwd", "", ".hidden", "a/b", "x" * 65, "m1\nm2"])
def test_a_pointer_that_is_no_version_is_refused(models_dir: Path, text: str) -> None:
    (models_dir / LIVE_FILE).write_text(text)
    with pytest.raises(BundleError):
        bundle_files.live_version(models_dir)


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_a_pointer_that_is_no_file_is_refused_at_once(models_dir: Path, make: Callable[[Path], None]) -> None:
    make(models_dir / LIVE_FILE)
    with pytest.raises(BundleError) as refused:
        bundle_files.live_version(models_dir)
    assert refused.value.fault is BundleFault.NOT_A_FILE


def test_promotion_names_the_version_and_needs_one_that_exists(models_dir: Path) -> None:
    assert bundle_files.live_version(models_dir) is None
    bundle_files.promote(models_dir, "m1")
    assert bundle_files.live_version(models_dir) == "m1"
    with pytest.raises(BundleError) as refused:
        bundle_files.promote(models_dir, "m2")
    assert refused.value.fault is BundleFault.MISSING
    assert bundle_files.live_version(models_dir) == "m1"


def test_versions_are_listed_and_removed(models_dir: Path) -> None:
    bundle_files.publish(models_dir, manifest_of("m0"), small_arrays(), KEY)
    (models_dir / ".m9.1.abcd").mkdir()
    (models_dir / ".m9.1.abcd" / ARRAYS_FILE).write_bytes(b"half")
    assert bundle_files.published_versions(models_dir) == ["m0", "m1"]
    assert bundle_files.remove_leftovers(models_dir) == [".m9.1.abcd"]
    assert sorted(each.name for each in models_dir.iterdir()) == ["m0", "m1"]
    bundle_files.remove(models_dir, "m0")
    assert bundle_files.published_versions(models_dir) == ["m1"]


def test_texts_are_found_in_their_table() -> None:
    table = text_table(["b", "ü", "a", "b", "long name"])
    assert [text.decode() for text in table] == ["a", "b", "long name", "ü"]
    assert find_texts(table, ["ü", "a", "c", "zzzzzzzzzzzzzzzz", "long name!"]).tolist() == [3, 0, -1, -1, -1]
    assert [find_text(table, text) for text in ("ü", "a", "c", "zzzzzzzzzzzzzzzz", "long name!")] == [3, 0, -1, -1, -1]
    assert find_text(table[:0], "a") == -1
    assert find_texts(text_table([]), ["a"]).tolist() == [-1]
    assert find_texts(table, []).tolist() == []
