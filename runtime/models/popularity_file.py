"""The count of popularity on disk, `<models_dir>/POPULARITY`: an Ed25519 signature, then an `.npz` without pickles."""

import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from runtime.models.bundle_files import SIGNATURE_BYTES, read_bounded, replace_file
from runtime.models.model_bundle import BundleError
from runtime.models.popularity import Popularity, PopularityError
from runtime.secrets.signing import Verifier

POPULARITY_FILE: Final = "POPULARITY"

# A million videos with ids of 128 characters.
_MAX_BYTES: Final = 160 << 20


def publish(models_dir: Path, popularity: Popularity, key: Ed25519PrivateKey) -> None:
    """Writes the file, whole or not at all."""
    buffer = io.BytesIO()
    facts = [popularity.counted_until.timestamp(), popularity.last_row, popularity.half_life_s]
    np.savez(
        buffer,
        allow_pickle=False,
        facts=np.array(facts, np.float64),
        video_ids=popularity.video_ids,
        recent_views=popularity.recent_views,
    )
    content = buffer.getvalue()
    models_dir.mkdir(parents=True, exist_ok=True)
    replace_file(models_dir / POPULARITY_FILE, key.sign(content) + content)


def stamp_of(models_dir: Path) -> int | None:
    """Returns what changes whenever the file does; None while there is none."""
    try:
        return (models_dir / POPULARITY_FILE).stat().st_mtime_ns
    except OSError:
        return None


def read(models_dir: Path, key: Verifier) -> Popularity:
    """Reads the file; nothing of it is looked at before its size and signature held.

    Raises:
        PopularityError: When it is missing, too large, not signed with our key or not what it should be.
    """
    try:
        signed = read_bounded(models_dir / POPULARITY_FILE, _MAX_BYTES)
        content = signed[SIGNATURE_BYTES:]
        key.verify(signed[:SIGNATURE_BYTES], content)
    except BundleError as error:
        raise PopularityError(str(error)) from error
    except InvalidSignature as error:
        raise PopularityError(f"{POPULARITY_FILE} is not signed with our key") from error
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as named:
            facts, video_ids, views = named["facts"], named["video_ids"], named["recent_views"]
        counted_until, last_row, half_life_s = facts.tolist()
        found = Popularity(datetime.fromtimestamp(counted_until, UTC), int(last_row), half_life_s, video_ids, views)
    except (ValueError, KeyError, OverflowError, zipfile.BadZipFile) as error:
        raise PopularityError(f"{POPULARITY_FILE} is not a readable count") from error
    if not _is_good(found):
        raise PopularityError(f"{POPULARITY_FILE} counts what cannot be counted")
    return found


def _is_good(popularity: Popularity) -> bool:
    ids, views = popularity.video_ids, popularity.recent_views
    if ids.dtype.kind != "S" or views.dtype != np.float32 or ids.shape != views.shape or ids.ndim != 1:
        return False
    return bool((ids[1:] > ids[:-1]).all() and np.isfinite(views).all() and (views >= 0).all())
