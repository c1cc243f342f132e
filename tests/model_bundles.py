"""Small models for tests, and bundles that a broken or hostile writer would leave behind."""

import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from runtime.contract import CONTRACT_RELEASE
from runtime.models.bundle_files import ARRAYS_FILE, MANIFEST_FILE, SIGNATURE_FILE
from runtime.models.model_bundle import (
    ARRAY_NAMES,
    FORMAT_VERSION,
    ArrayInfo,
    Manifest,
    ModelArrays,
    ModelBundle,
    find_texts,
    text_table,
)

DIMENSIONS = 2
TRAINED = datetime(2025, 9, 1, 2, 0, tzinfo=UTC)


def manifest_of(model_version: str = "m1", **changes: Any) -> Manifest:
    """The manifest of a small model, before it is published."""
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        model_version=model_version,
        algorithm="lightfm-warp",
        contract=CONTRACT_RELEASE,
        created_time=TRAINED,
        data_from=TRAINED,
        data_until=TRAINED,
        seed=1,
        threads=1,
        dimensions=DIMENSIONS,
        params={"epochs": 5, "long_view_s": 18.0, "history_length": 3},
        metrics={"ndcg_at_10": 0.5},
    )
    return msgspec.structs.replace(manifest, **changes)


def arrays_of(
    scores: Mapping[str, Sequence[float]],
    videos: Sequence[str],
    *,
    seen: Mapping[str, Sequence[str]] | None = None,
    prior: Sequence[float] | None = None,
    history: Mapping[str, Sequence[str]] | None = None,
    catalogue: Mapping[str, Mapping[str, Any]] | None = None,
    features: Mapping[str, Sequence[float]] | None = None,
) -> ModelArrays:
    """A model that gives each user exactly these scores for the sorted videos; at most two videos may differ.

    Args:
        scores: Bias of each user, and two factors, by user.
        videos: Ids; video i has the embedding (i, 1) and the bias 0.
        seen: Seen videos by user.
        prior: Prior of each sorted video.
        history: Liked videos by user, newest first; video i adds (i, 1) / sqrt(their number) to its user.
        features: By feature of users, what it adds: bias and two factors.
        catalogue: By video: author, language, country, tags, duration_s, published_ms, active.
    """
    users = sorted(scores)
    names = sorted(videos)
    known = [dict((catalogue or {}).get(name, {})) for name in names]
    lists = [find_texts(text_table(names), list((seen or {}).get(user, ()))) for user in users]
    histories = [find_texts(text_table(names), list((history or {}).get(user, ()))) for user in users]
    tag_lists = [list(each.get("tags", ())) for each in known]
    tags = text_table([tag for each in tag_lists for tag in each])
    authors = text_table([each["author"] for each in known if "author" in each])
    languages = text_table([each["language"] for each in known if "language" in each])
    countries = text_table([each["country"] for each in known if "country" in each])
    count, told = len(names), features or {}
    return ModelArrays(
        user_ids=text_table(users),
        video_ids=text_table(names),
        user_factors=np.array([[1.0, *scores[user]] for user in users], np.float32),
        item_factors=np.column_stack([np.zeros(count), np.ones(count), np.arange(count), np.ones(count)]).astype(
            np.float32
        ),
        item_prior=np.zeros(count, np.float32) if prior is None else np.array(prior, np.float32),
        history_factors=np.column_stack([np.zeros(count), np.zeros(count), np.arange(count), np.ones(count)]).astype(
            np.float32
        ),
        history_offsets=np.cumsum([0, *map(len, histories)], dtype=np.int64),
        history_items=np.concatenate([*histories, np.empty(0, np.int32)]).astype(np.int32),
        features=text_table(list(features or ())),
        feature_factors=np.array([[0.0, *told[each]] for each in sorted(told)], np.float32).reshape(-1, DIMENSIONS + 2),
        seen_offsets=np.cumsum([0, *map(len, lists)], dtype=np.int64),
        seen_items=np.concatenate([*lists, np.empty(0, np.int32)]).astype(np.int32),
        authors=authors,
        item_author=find_texts(authors, [each.get("author", "") for each in known]),
        languages=languages,
        item_language=find_texts(languages, [each.get("language", "") for each in known]),
        countries=countries,
        item_country=find_texts(countries, [each.get("country", "") for each in known]),
        tags=tags,
        tag_offsets=np.cumsum([0, *map(len, tag_lists)], dtype=np.int64),
        item_tags=find_texts(tags, [tag for each in tag_lists for tag in each]),
        item_duration_s=np.array([each.get("duration_s", -1) for each in known], np.float32),
        item_published_ms=np.array([each.get("published_ms", -1) for each in known], np.int64),
        item_active=np.array([each.get("active", True) for each in known], np.bool_),
    )


def small_arrays() -> ModelArrays:
    """Three users and five videos: `up` likes the last ones, `down` the first ones."""
    return arrays_of(
        {"down": (0.0, -1.0, 0.0), "none": (0.0, 0.0, 0.0), "up": (0.0, 1.0, 0.0)},
        ["v0", "v1", "v2", "v3", "v4"],
        seen={"up": ["v4"]},
    )


def small_bundle(model_version: str = "m1") -> ModelBundle:
    """A verified bundle that was never on disk."""
    return ModelBundle(manifest_of(model_version), small_arrays())


def forge(
    models_dir: Path,
    key: Ed25519PrivateKey,
    named: Mapping[str, Any],
    model_version: str = "m1",
    *,
    allow_pickle: bool = False,
    **changes: Any,
) -> None:
    """Writes a bundle whose signature and hash are right, whatever its arrays are: what a broken trainer would do."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=allow_pickle, **named)
    content = buffer.getvalue()
    manifest = manifest_of(
        model_version,
        arrays={name: ArrayInfo(np.shape(array), np.asarray(array).dtype.str) for name, array in named.items()},
        arrays_bytes=len(content),
        arrays_sha256=hashlib.sha256(content).hexdigest(),
    )
    text = msgspec.json.encode(msgspec.structs.replace(manifest, **changes))
    folder = models_dir / model_version
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ARRAYS_FILE).write_bytes(content)
    (folder / MANIFEST_FILE).write_bytes(text)
    (folder / SIGNATURE_FILE).write_bytes(key.sign(text))


def zipped(content_of: Callable[[str], bytes]) -> bytes:
    """An archive of every array, compressed; its entries hold whatever is returned for their names."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ARRAY_NAMES:
            archive.writestr(f"{name}.npy", content_of(name))
    return buffer.getvalue()
