"""The index of a large catalogue, built and measured with faiss before a bundle is published."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import faiss
import numpy as np
import numpy.typing as npt

from runtime.models.model_bundle import Floats, IndexInfo, ModelArrays
from trainer.domain.video_index import (
    IndexRules,
    Stretch,
    exact_top,
    index_queries,
    index_rows,
    recall,
    stretch_of,
)

Rows = npt.NDArray[np.int64]

# How many groups are looked at, tried in this order.
_PROBES: Final = (8, 12, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 256, 384, 512, 768, 1024)
# Candidates that the scorer takes to pick 50 by exact scores (scorer.domain.video_index).
_FETCHED: Final = 164
# More points or passes moved the recall by less than seeds do.
_POINTS_PER_LIST: Final = 64
_PASSES: Final = 10
_USERS_OF_STRETCH: Final = 20_000
# Vectors whose length is a multiple of this are compared so many numbers at a time, others one by one.
_LANES: Final = 8
# How much a group's spread adds to what its centre promises. On factors of KuaiRand, 300,000 videos made of them, 32 of
# 1024 groups hold 97.5 % of the best 50 with 0, 98.5 % with 1, 99.3 % with 2 and 3.
_SPREAD_WEIGHT: Final = 2.0
_BLOCK: Final = 50_000


@dataclass(frozen=True, slots=True)
class BuiltIndex:
    """An index and what is known of it: its file, and what the manifest states."""

    content: bytes
    info: IndexInfo


def build_index(arrays: ModelArrays, rules: IndexRules, seed: int) -> BuiltIndex:
    """Builds the index of a model and measures it.

    Args:
        arrays: The model; it has users, and inactive videos are left out.
        rules: How many groups, and how good.
        seed: Of the grouping, and of the users that it is measured with.
    """
    active = np.flatnonzero(arrays.item_active)
    rows = index_rows(arrays.item_factors, arrays.item_prior)[active]
    users = np.random.default_rng(seed).permutation(len(arrays.user_ids))
    queries = index_queries(arrays.user_factors[users[:_USERS_OF_STRETCH]])
    index = _grouped(rows, active, stretch_of(queries), rules, seed)
    asked = queries[: rules.users]
    probes, found = _choose_probes(index, asked, active[exact_top(rows, asked)], rules.recall_at_50)
    content = faiss.serialize_index(index).tobytes()
    return BuiltIndex(content, IndexInfo(f"IVF{rules.lists},SQ8", probes, found))


def _grouped(rows: Floats, ids: Rows, stretch: Stretch, rules: IndexRules, seed: int) -> Any:
    """Groups the videos by k-means and packs each, as its difference from the centre, into a byte a number."""
    stretched = rows @ stretch.row_map.T
    groups = faiss.Kmeans(
        rows.shape[1],
        rules.lists,
        niter=_PASSES,
        seed=seed,
        min_points_per_centroid=1,
        max_points_per_centroid=_POINTS_PER_LIST,
    )
    groups.train(stretched)
    group = np.concatenate([groups.assign(stretched[part])[1] for part in _parts(len(rows))]).astype(np.int64)
    centres = _with_spread(stretched, np.asarray(groups.centroids), group)
    return _with_query_map(_filled(_padded(stretched, centres.shape[1]), ids, centres, group, seed), stretch)


def _with_spread(stretched: Floats, centroids: Floats, group: Rows) -> Floats:
    """Gives the centres a column with how far their videos lie from them; the videos' own stays empty.

    The query's is constant: so a group is looked at for what its best videos may score, not its mean one. What this
    adds to a centre's score, the differences from the centre take away again.
    """
    lists, columns = centroids.shape
    distance = sum(
        np.bincount(group[part], ((stretched[part] - centroids[group[part]]) ** 2).sum(axis=1), lists)
        for part in _parts(len(stretched))
    )
    centres = _padded(centroids, -(-(columns + 1) // _LANES) * _LANES)
    centres[:, columns] = np.sqrt(distance / np.maximum(np.bincount(group, minlength=lists), 1))
    return centres


def _filled(padded: Floats, ids: Rows, centres: Floats, group: Rows, seed: int) -> Any:
    lists, width = centres.shape
    quantizer = faiss.IndexFlatIP(width)
    quantizer.add(centres)
    index = faiss.IndexIVFScalarQuantizer(
        quantizer, width, lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    # Groups were found by distance, while the quantizer finds them by product: so training and adding are told of them.
    sample = np.random.default_rng(seed).permutation(len(padded))[: lists * _POINTS_PER_LIST]
    differences = padded[sample] - centres[group[sample]]
    index.train_encoder(len(sample), faiss.swig_ptr(differences), None)
    index.is_trained = True
    index.add_core(len(padded), faiss.swig_ptr(padded), faiss.swig_ptr(ids), faiss.swig_ptr(group))
    return index


def _with_query_map(index: Any, stretch: Stretch) -> Any:
    """Puts the users' map before the index, which then takes queries as they are."""
    columns = len(stretch.query_map)
    padded = np.zeros((index.d, columns), np.float32)
    padded[:columns] = stretch.query_map
    constant = np.zeros(index.d, np.float32)
    constant[columns] = _SPREAD_WEIGHT
    first = faiss.LinearTransform(columns, index.d, True)
    faiss.copy_array_to_vector(padded.ravel(), first.A)
    faiss.copy_array_to_vector(constant, first.b)
    first.is_trained = True
    return faiss.IndexPreTransform(first, index)


def _choose_probes(index: Any, queries: Floats, exact: Rows, wanted: float) -> tuple[int, float]:
    """Sets how many groups are looked at to the least that finds enough; returns it and what it finds."""
    inverted = faiss.extract_index_ivf(index)
    found = 0.0
    for probes in _PROBES:
        inverted.nprobe = min(probes, inverted.nlist)
        found = recall(index.search(queries, _FETCHED)[1], exact)
        if found >= wanted or inverted.nprobe == inverted.nlist:
            break
    return int(inverted.nprobe), found


def _padded(rows: Floats, width: int) -> Floats:
    padded = np.zeros((len(rows), width), np.float32)
    padded[:, : rows.shape[1]] = rows
    return padded


def _parts(count: int) -> Iterator[slice]:
    return (slice(start, start + _BLOCK) for start in range(0, count, _BLOCK))
