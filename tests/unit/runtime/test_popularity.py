"""The count of what is watched now: it comes back as it was written, and whatever else lies there is refused."""

import io
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from runtime.models.model_bundle import text_table
from runtime.models.popularity import Popularity, PopularityError
from runtime.models.popularity_file import POPULARITY_FILE, publish, read, stamp_of

KEY = Ed25519PrivateKey.generate()
NOON = datetime(2025, 9, 1, 12, tzinfo=UTC)
COUNTED = Popularity(NOON, 7, 86_400.0, text_table(["v1", "v3"]), np.array([2.0, 0.5], np.float32))


def named(**changes: Any) -> dict[str, Any]:
    facts = np.array([NOON.timestamp(), 7, 86_400.0])
    return {"facts": facts, "video_ids": COUNTED.video_ids, "recent_views": COUNTED.recent_views, **changes}


def signed(arrays: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=True, **arrays)
    return KEY.sign(buffer.getvalue()) + buffer.getvalue()


def test_it_comes_back_as_it_was_written(tmp_path: Path) -> None:
    assert stamp_of(tmp_path) is None
    publish(tmp_path, COUNTED, KEY)
    found = read(tmp_path, KEY.public_key())
    assert (found.counted_until, found.last_row, found.half_life_s) == (NOON, 7, 86_400.0)
    assert (found.video_ids.tolist(), found.recent_views.tolist()) == ([b"v1", b"v3"], [2.0, 0.5])
    assert stamp_of(tmp_path) is not None


def test_views_are_found_by_the_ids_of_another_table() -> None:
    assert COUNTED.views_of(text_table(["v0", "v1", "v2"])).tolist() == [0.0, 2.0, 0.0]
    assert COUNTED.views_of(text_table(["a-video-with-a-longer-id", "v3"])).tolist() == [0.0, 0.5]


GOOD = signed(named())


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(GOOD[:-1], id="truncated"),
        pytest.param(GOOD[:200] + bytes([GOOD[200] ^ 1]) + GOOD[201:], id="a flipped bit"),
        pytest.param(Ed25519PrivateKey.generate().sign(GOOD[64:]) + GOOD[64:], id="another's signature"),
        pytest.param(KEY.sign(b"no zip") + b"no zip", id="signed, but no arrays"),
        pytest.param(signed(named(recent_views=np.array([1, None], object))), id="a pickle"),
        pytest.param(signed(named(recent_views=np.array([1, np.nan], np.float32))), id="not a number"),
        pytest.param(signed(named(recent_views=np.array([1, -1], np.float32))), id="negative"),
        pytest.param(signed(named(recent_views=np.array([1], np.float32))), id="one too few"),
        pytest.param(signed(named(video_ids=np.array([b"v3", b"v1"]))), id="not sorted"),
        pytest.param(signed(named(facts=np.array([1.0]))), id="facts missing"),
        pytest.param(signed(named(facts=np.array([1e300, 7, 1.0]))), id="a time out of range"),
        pytest.param(signed({"facts": named()["facts"]}), id="no views"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / POPULARITY_FILE).write_bytes(content)
    with pytest.raises(PopularityError):
        read(tmp_path, KEY.public_key())


def test_nothing_there_is_refused_too(tmp_path: Path) -> None:
    with pytest.raises(PopularityError, match="missing"):
        read(tmp_path, KEY.public_key())
