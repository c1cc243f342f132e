"""An index from its building to a ranking: built, signed, opened, and held against a look at all videos."""

from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client import CollectorRegistry

from runtime.models import bundle_files
from runtime.models.model_bundle import BundleError, BundleFault, IndexInfo, ModelArrays, ModelBundle, text_table
from scorer.adapters.index_faiss import open_index
from scorer.domain.ranker import Ranker
from scorer.domain.wish import Wish
from scorer.metrics import ScorerMetrics
from scorer.models import ModelSlot
from scorer.ports import MemoryModels
from tests.model_bundles import arrays_of, manifest_of
from trainer.adapters.index_faiss import BuiltIndex, build_index
from trainer.domain.video_index import IndexRules

USERS, VIDEOS, DIMENSIONS = 300, 4000, 20
RULES = IndexRules(from_videos=1000, lists=32, recall_at_50=0.98, users=200)
KEY = Ed25519PrivateKey.generate()


def arrays() -> ModelArrays:
    """Factors whose first directions count most, as those of fitted models do; every tenth video is inactive."""
    draw = np.random.default_rng(2)
    names = [f"v{number:05}" for number in range(VIDEOS)]
    fall = np.geomspace(1, 0.2, DIMENSIONS)
    small = arrays_of({f"u{number:03}": (0.0, 0.0, 0.0) for number in range(USERS)}, names)
    items = np.column_stack([draw.normal(0, 0.3, VIDEOS), np.ones(VIDEOS), draw.normal(0, fall, (VIDEOS, DIMENSIONS))])
    users = np.column_stack([np.ones(USERS), draw.normal(0, 1, USERS), draw.normal(0, fall, (USERS, DIMENSIONS))])
    return replace(
        small,
        video_ids=text_table(names),
        item_factors=items.astype(np.float32),
        user_factors=users.astype(np.float32),
        history_factors=np.zeros((VIDEOS, DIMENSIONS + 2), np.float32),
        feature_factors=np.zeros((0, DIMENSIONS + 2), np.float32),
        item_prior=draw.normal(0, 0.2, VIDEOS).astype(np.float32),
        item_active=np.arange(VIDEOS) % 10 > 0,
    )


@pytest.fixture(scope="module")
def model() -> ModelArrays:
    return arrays()


@pytest.fixture(scope="module")
def built(model: ModelArrays) -> BuiltIndex:
    return build_index(model, RULES, seed=1)


def bundle_of(model: ModelArrays, index: bytes, info: IndexInfo, version: str = "m1") -> ModelBundle:
    return ModelBundle(manifest_of(version, dimensions=DIMENSIONS, index=info), model, index)


def test_rankings_by_the_index_are_nearly_those_by_all(tmp_path: Path, model: ModelArrays, built: BuiltIndex) -> None:
    manifest = manifest_of(dimensions=DIMENSIONS, index=built.info)
    bundle_files.publish(tmp_path, manifest, model, KEY, built.content)
    bundle = bundle_files.read(tmp_path, "m1", KEY.public_key())
    by_index, by_all = Ranker(bundle, open_index(bundle)), Ranker(bundle)

    hits, inactive = [], {f"v{number:05}" for number in range(0, VIDEOS, 10)}
    for user in range(USERS):
        wish = Wish(f"u{user:03}", k=50)
        found, exact = by_index.rank(wish, by_index.buffer()), by_all.rank(wish, by_all.buffer())
        scores = dict(zip(exact.video_ids, exact.scores, strict=True))
        shared = [name for name in found.video_ids if name in scores]
        of_found = dict(zip(found.video_ids, found.scores, strict=True))
        np.testing.assert_allclose([of_found[name] for name in shared], [scores[name] for name in shared], atol=1e-5)
        assert not inactive.intersection(found.video_ids)
        hits.append(len(shared) / 50)

    assert built.info.recall_at_50 >= 0.98
    assert np.mean(hits) >= 0.97, "of users that it was not measured with as well"
    assert built.info.probes < RULES.lists, "not all groups are looked at"
    assert built.info.type == "IVF32,SQ8"


def test_a_ranking_needs_no_prior(model: ModelArrays, built: BuiltIndex) -> None:
    index = open_index(bundle_of(model, built.content, built.info))
    assert index is not None
    scores = model.item_factors @ model.user_factors[0]
    best = set(np.argsort(-np.where(model.item_active, scores, -np.inf))[:50].tolist())
    query = model.user_factors[0].copy()
    query[:2] = (1, 0)
    assert len(best.intersection(index.nearest(query, 164).tolist())) >= 45


def test_more_than_there_are_is_not_made_up(model: ModelArrays, built: BuiltIndex) -> None:
    index = open_index(bundle_of(model, built.content, built.info))
    assert index is not None
    rows = index.nearest(model.user_factors[0], 10_000)
    assert rows.min() >= 0
    assert len(set(rows.tolist())) == len(rows) < VIDEOS


def test_without_an_index_nothing_is_opened(model: ModelArrays) -> None:
    assert open_index(ModelBundle(manifest_of(dimensions=DIMENSIONS), model)) is None


def other_columns() -> bytes:
    index = faiss.index_factory(DIMENSIONS, "IVF1,SQ8", faiss.METRIC_INNER_PRODUCT)
    index.train(np.eye(DIMENSIONS, dtype=np.float32))
    return faiss.serialize_index(index).tobytes()


def other_videos(metric: int = faiss.METRIC_INNER_PRODUCT, row: int = VIDEOS) -> bytes:
    index = faiss.index_factory(DIMENSIONS + 2, "IVF1,SQ8", metric)
    vectors = np.eye(DIMENSIONS + 2, dtype=np.float32)
    index.train(vectors)
    index.add_with_ids(vectors[:1], np.array([row]))
    return faiss.serialize_index(index).tobytes()


def no_lists() -> bytes:
    return faiss.serialize_index(faiss.IndexFlatIP(DIMENSIONS + 2)).tobytes()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"IxPT" + bytes(200), id="noise"),
        pytest.param(other_columns(), id="another width"),
        pytest.param(other_videos(), id="a video too many"),
        pytest.param(other_videos(row=-5), id="a video before the first"),
        pytest.param(other_videos(faiss.METRIC_L2, 0), id="another measure"),
        pytest.param(no_lists(), id="another kind"),
    ],
)
def test_a_wrong_index_is_refused_although_it_is_signed(model: ModelArrays, content: bytes) -> None:
    info = IndexInfo("IVF1,SQ8", 1, 1.0)
    slot = ModelSlot(MemoryModels(bundle_of(model, content, info)), ScorerMetrics(CollectorRegistry()), open_index)
    with pytest.raises(BundleError) as refused:
        slot.load("m1")
    assert refused.value.fault is BundleFault.BAD_INDEX


def test_every_cut_of_an_index_is_refused(model: ModelArrays, built: BuiltIndex) -> None:
    for size in np.linspace(0, len(built.content) - 1, 60, dtype=np.int64).tolist():
        with pytest.raises(BundleError):
            open_index(bundle_of(model, built.content[:size], built.info))


def test_a_model_keeps_its_index_but_not_the_file(model: ModelArrays, built: BuiltIndex) -> None:
    slot = ModelSlot(
        MemoryModels(bundle_of(model, built.content, built.info)), ScorerMetrics(CollectorRegistry()), open_index
    )
    loaded = slot.load("m1")
    assert loaded.ranker.bundle.index is None
    assert loaded.ranker.bundle.manifest.index == built.info
