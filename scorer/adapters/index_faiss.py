"""The index of a bundle, opened with faiss."""

import io
from typing import Any, Final

from runtime.models.model_bundle import BIAS_COLUMNS, BundleError, BundleFault, Floats, ModelBundle
from scorer.domain.candidates import VideoIndex
from scorer.domain.shortlist import Rows

# What faiss writes where it found fewer than were asked for.
_NOTHING: Final = -1
# As many groups as a trainer may be told to make.
_MOST_LISTS: Final = 65_536


class FaissIndex:
    """A VideoIndex in memory. It changes nothing of its own, so threads may share it.

    Args:
        index: Opened and checked.
    """

    def __init__(self, index: Any) -> None:
        self._index = index

    def nearest(self, query: Floats, count: int) -> Rows:
        """Returns about the best videos, best first; faiss lets go of the GIL meanwhile."""
        rows: Rows = self._index.search(query[None], count)[1][0]
        return rows if rows[-1] != _NOTHING else rows[rows != _NOTHING]


def open_index(bundle: ModelBundle) -> VideoIndex | None:
    """Opens the index of a verified bundle; None when it has none, and then faiss is not even imported.

    Raises:
        BundleError: BAD_INDEX when it is none, or one of another model.
    """
    if bundle.index is None:
        return None
    import faiss  # noqa: PLC0415  # 44 MB and 0.2 s, which only large models are worth

    try:
        index = _opened(faiss, bundle.index)
        inverted = faiss.extract_index_ivf(index)
    except (RuntimeError, MemoryError) as error:
        raise BundleError(BundleFault.BAD_INDEX, "not an index of the kind that the manifest states") from error
    _check(faiss, index, inverted, bundle)
    return FaissIndex(index)


def _opened(faiss: Any, content: bytes) -> Any:
    """Opens a file. No more room is made for a part of it than it has bytes, whatever it says of itself."""
    part_bytes, lists = faiss.get_deserialization_vector_byte_limit(), faiss.get_deserialization_loop_limit()
    faiss.set_deserialization_vector_byte_limit(len(content))
    faiss.set_deserialization_loop_limit(_MOST_LISTS)
    try:
        # Read in pieces: `deserialize_index` would first make a copy of all of it.
        return faiss.read_index(faiss.PyCallbackIOReader(io.BytesIO(content).read))
    finally:
        faiss.set_deserialization_vector_byte_limit(part_bytes)
        faiss.set_deserialization_loop_limit(lists)


def _check(faiss: Any, index: Any, inverted: Any, bundle: ModelBundle) -> None:
    columns, videos = bundle.manifest.dimensions + BIAS_COLUMNS, len(bundle.arrays.video_ids)
    if index.d != columns or index.metric_type != faiss.METRIC_INNER_PRODUCT or not index.is_trained:
        raise BundleError(BundleFault.BAD_INDEX, f"an index of {index.d} columns, not of the {columns} of the model")
    lists = inverted.invlists
    for number in range(inverted.nlist):
        size = lists.list_size(number)
        rows = faiss.rev_swig_ptr(lists.get_ids(number), size)
        if size and not 0 <= rows.min() <= rows.max() < videos:
            raise BundleError(BundleFault.BAD_INDEX, "the index points outside of the videos")
