"""The arrays' file: an .npz for everybody, views of its bytes for us, and nothing in it is unpacked."""

import dataclasses
import io
from collections.abc import Callable, Mapping

import numpy as np
import pytest

from runtime.models import bundle_arrays
from runtime.models.model_bundle import Array, ArrayInfo, BundleError, BundleFault, ModelArrays
from tests.model_bundles import small_arrays, zipped


def by_columns() -> ModelArrays:
    arrays = small_arrays()
    return dataclasses.replace(arrays, item_factors=np.asfortranarray(arrays.item_factors))


def stated(named: Mapping[str, Array]) -> dict[str, ArrayInfo]:
    return {name: ArrayInfo(array.shape, array.dtype.str) for name, array in named.items()}


def listed(named: Mapping[str, Array]) -> dict[str, object]:
    return {name: (array.dtype.str, array.flags.f_contiguous, array.tolist()) for name, array in named.items()}


STATED = stated(small_arrays().named())


def test_arrays_come_back_as_views_of_the_file() -> None:
    written = by_columns().named()
    content = bundle_arrays.pack(by_columns())
    found = bundle_arrays.unpack(content, stated(written))
    assert listed(found) == listed(written)
    start = np.frombuffer(content, np.uint8).ctypes.data
    for array in found.values():
        place = array.ctypes.data - start
        assert 0 <= place <= len(content), "nothing was copied"
        assert place % 64 == 0
        assert not array.flags.writeable
    assert len(content) <= bundle_arrays.most_bytes(stated(written))


def test_numpy_opens_the_file_as_well() -> None:
    with np.load(io.BytesIO(bundle_arrays.pack(by_columns())), allow_pickle=False) as file:
        assert listed({name: file[name] for name in file}) == listed(by_columns().named())


def test_a_file_that_numpy_wrote_is_read_as_well() -> None:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **by_columns().named())
    found = bundle_arrays.unpack(buffer.getvalue(), STATED)
    assert listed(found) == listed(by_columns().named())
    assert all(array.flags.aligned for array in found.values())


def with_numpy(save: Callable[..., None], **changes: Array) -> bytes:
    buffer = io.BytesIO()
    save(buffer, **{**small_arrays().named(), **changes})
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(bundle_arrays.pack(small_arrays())[:3000], id="cut"),
        pytest.param(bundle_arrays.pack(small_arrays())[64:], id="begun too late"),
        pytest.param(with_numpy(np.savez_compressed), id="compressed"),
        pytest.param(zipped(lambda _: bytes(20_000_000)), id="a zip bomb"),
        pytest.param(with_numpy(np.savez, item_prior=np.zeros(5)), id="another dtype"),
        pytest.param(with_numpy(np.savez, item_prior=np.zeros(4, np.float32)), id="another length"),
        pytest.param(with_numpy(np.savez, item_prior=np.zeros((1, 5), np.float32)), id="another shape"),
        pytest.param(with_numpy(np.savez, item_prior=np.array([None] * 5)), id="a pickle"),
        pytest.param(bundle_arrays.pack(small_arrays()).replace(b"tags.npy", b"../x.npy"), id="another name"),
        pytest.param(bundle_arrays.pack(small_arrays()).replace(b"NUMPY\1\0", b"NUMPY\2\0"), id="another version"),
        pytest.param(
            bundle_arrays.pack(small_arrays()).replace(b"{'descr'", b"((((((((" + b"-"), id="no header that is known"
        ),
    ],
)
def test_a_file_with_anything_else_is_refused(content: bytes) -> None:
    with pytest.raises(BundleError) as refused:
        bundle_arrays.unpack(content, STATED)
    assert refused.value.fault is BundleFault.BAD_ARRAYS


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({**STATED, "more": ArrayInfo((1,), "<f4")}, id="one more"),
        pytest.param({name: info for name, info in STATED.items() if name != "tags"}, id="one less"),
        pytest.param({**STATED, "tags": ArrayInfo((1,), "|O")}, id="objects"),
        pytest.param({**STATED, "tags": ArrayInfo((1,), "|V9")}, id="anything"),
        pytest.param({**STATED, "tags": ArrayInfo((1,), "f4,f4")}, id="records"),
        pytest.param({**STATED, "tags": ArrayInfo((1,), ">f4")}, id="the other end first"),
    ],
)
def test_only_numbers_and_bytes_under_known_names_have_a_size(changed: dict[str, ArrayInfo]) -> None:
    with pytest.raises(BundleError) as refused:
        bundle_arrays.most_bytes(changed)
    assert refused.value.fault is BundleFault.BAD_ARRAYS
