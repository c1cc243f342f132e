"""P05 and P06: the best 50 of many videos on one core, against faiss alone. `python -m tests.bench.top_k P05 P06`.

Times are those of one thread on its CPU, so that whoever else uses the machine does not count.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import faiss
import numpy as np

from runtime.models.model_bundle import BIAS_COLUMNS, Floats, ModelArrays, ModelBundle
from scorer.adapters.index_faiss import open_index
from scorer.domain.filters import NO_FILTERS, Filters
from scorer.domain.ranker import Ranker
from scorer.domain.wish import Wish
from tests.bench import figures
from tests.bench.large_models import SEEN, large_model
from trainer.adapters.index_faiss import BuiltIndex, build_index
from trainer.domain.video_index import IndexRules, by_columns, exact_top, index_queries, index_rows, recall

ROUNDS = 5
CALLS = 100
K = 50

FILTERS = Filters(languages=["en", "de", "es"], exclude_author_ids=["a000001", "a000002"])

# What the references of targets.md look at.
LISTS, PROBES = 1024, 32


def main() -> None:
    """Measures what is asked for."""
    # Told to faiss as well: it may have been asked for all cores when it was loaded.
    faiss.omp_set_num_threads(1)
    if "P05" in sys.argv[1:]:
        _all_videos()
    if "P06" in sys.argv[1:]:
        _by_index()


def _all_videos() -> None:
    model = large_model(100_000)
    bundle = ModelBundle(model.manifest, by_columns(model.arrays))
    ranker = Ranker(bundle)
    buffer = ranker.buffer()
    embeddings = np.ascontiguousarray(bundle.arrays.item_factors[:, BIAS_COLUMNS:])
    flat = faiss.IndexFlatIP(embeddings.shape[1])
    flat.add(embeddings)
    users = np.ascontiguousarray(bundle.arrays.user_factors[:, BIAS_COLUMNS:])
    plain, filtered = (
        [Wish(f"u{user:07}", k=K, filters=filters) for user in range(CALLS)] for filters in (NO_FILTERS, FILTERS)
    )
    for what, wishes in ((f"{SEEN} seen videos", plain), (f"{SEEN} seen videos, two filters", filtered)):
        pairs = _pairs(_calls(ranker, wishes, buffer), lambda n: flat.search(users[n : n + 1], K))
        figures.ratio("P05", f"top-{K} of 100,000 videos, {what}, against faiss flat", "ms", pairs, at_most=1.2)


def _by_index() -> None:
    bundle = large_model(1_000_000)
    plain = _plain_index(bundle.arrays)
    built = _built_for_half(bundle.arrays)
    by_index = Ranker(bundle, open_index(replace(bundle, index=built.content)))
    by_all = Ranker(bundle)
    buffer = by_all.buffer()
    wishes = [Wish(user.decode(), k=K) for user in bundle.arrays.user_ids[-CALLS:].tolist()]
    hits = [
        len({*by_index.rank(wish, buffer).video_ids}.intersection(by_all.rank(wish, buffer).video_ids)) / K
        for wish in wishes
    ]
    queries = index_queries(bundle.arrays.user_factors[-CALLS:])
    pairs = _pairs(_calls(by_index, wishes, buffer), lambda n: plain.search(queries[n : n + 1], K))
    value = statistics.median(mine for mine, _ in pairs)
    figures.show(
        "P06",
        f"top-{K} of 1,000,000 videos, {SEEN} seen, against faiss' IVF{LISTS},SQ8 with {PROBES} probes",
        value=value,
        unit="ms",
        reference=statistics.median(theirs for _, theirs in pairs),
        ratio=statistics.median(mine / theirs for mine, theirs in pairs),
        target="<= 0.5 ms at recall@50 >= 0.98",
        met=value <= 0.5 and statistics.mean(hits) >= 0.98,
        recall=statistics.mean(hits),
        recall_of_reference=_recall_of(plain, queries, bundle.arrays),
        probes=built.info.probes,
    )


def _built_for_half(arrays: ModelArrays) -> BuiltIndex:
    """Builds a model's index with the first half of its users, so that the others can tell how good it is."""
    half = len(arrays.user_ids) // 2
    faiss.omp_set_num_threads(os.cpu_count() or 1)
    some = replace(arrays, user_ids=arrays.user_ids[:half], user_factors=arrays.user_factors[:half])
    built = build_index(some, IndexRules(), seed=1)
    faiss.omp_set_num_threads(1)
    return built


def _plain_index(arrays: ModelArrays) -> Any:
    """Makes what the reference of targets.md is, of the same factors."""
    rows = index_rows(arrays.item_factors, arrays.item_prior)
    index = faiss.index_factory(rows.shape[1], f"IVF{LISTS},SQ8", faiss.METRIC_INNER_PRODUCT)
    faiss.omp_set_num_threads(os.cpu_count() or 1)
    index.train(np.ascontiguousarray(rows[:: len(rows) // (64 * LISTS)]))
    index.add(rows)
    faiss.omp_set_num_threads(1)
    faiss.extract_index_ivf(index).nprobe = PROBES
    return index


def _recall_of(index: Any, queries: Floats, arrays: ModelArrays) -> float:
    exact = exact_top(index_rows(arrays.item_factors, arrays.item_prior), queries)
    return recall(index.search(queries, K)[1], exact)


def _calls(ranker: Ranker, wishes: Sequence[Wish], buffer: Floats) -> Callable[[int], object]:
    return lambda number: ranker.rank(wishes[number], buffer)


def _pairs(mine: Callable[[int], object], theirs: Callable[[int], object]) -> list[tuple[float, float]]:
    """Measures both in turn, median ms a call in each round; the first round only warms up."""
    return [(_median_ms(mine), _median_ms(theirs)) for _ in range(ROUNDS + 1)][1:]


def _median_ms(call: Callable[[int], object]) -> float:
    times = []
    for number in range(CALLS):
        start = time.thread_time()
        call(number)
        times.append(time.thread_time() - start)
    return statistics.median(times) * 1e3


if __name__ == "__main__":
    main()
