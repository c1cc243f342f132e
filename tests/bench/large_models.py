"""Models of any size whose factors fall off as those of a model fitted on KuaiRand do.

Measured on that model (7,583 videos, 26,768 users, 64 dimensions): singular values of the videos' embeddings fall as
rank^-0.5, of the users' as rank^-0.4; the user-item part of the scores spreads by 1.2, of which 0.5 is the same for all
users; bias and prior by 0.3 and 0.2.
"""

from datetime import UTC, datetime
from typing import Final

import numpy as np

from runtime.contract import CONTRACT_RELEASE
from runtime.models.model_bundle import FORMAT_VERSION, Floats, Manifest, ModelArrays, ModelBundle, text_table

DIMENSIONS: Final = 64
SEEN: Final = 500
_THEMES: Final = 8_000
_LANGUAGES: Final = ("de", "en", "es", "pt")


def large_model(videos: int, users: int = 2_000, *, seed: int = 1, jitter: float = 0.5) -> ModelBundle:
    """Makes a model.

    Args:
        videos: How many.
        users: How many; each has seen SEEN videos.
        seed: Of everything that is drawn.
        jitter: How far videos of one theme lie apart, in units of how far any lie apart.
    """
    draw = np.random.default_rng(seed)
    items, prior = _items(draw, videos, jitter)
    names = text_table([f"v{number:08}" for number in range(videos)])
    languages = text_table(_LANGUAGES)
    authors = text_table([f"a{number:06}" for number in range(max(videos // 50, 1))])
    tags = text_table([f"t{number:03}" for number in range(100)])
    arrays = ModelArrays(
        user_ids=text_table([f"u{number:07}" for number in range(users)]),
        video_ids=names,
        user_factors=_users(draw, users),
        item_factors=items,
        item_prior=prior,
        history_factors=np.zeros_like(items),
        history_offsets=np.zeros(users + 1, np.int64),
        history_items=np.empty(0, np.int32),
        features=text_table([f"age={years}" for years in range(100)]),
        feature_factors=np.zeros((100, items.shape[1]), np.float32),
        seen_offsets=np.arange(users + 1, dtype=np.int64) * SEEN,
        seen_items=draw.integers(0, videos, users * SEEN, dtype=np.int32),
        authors=authors,
        item_author=draw.integers(0, len(authors), videos, dtype=np.int32),
        languages=languages,
        item_language=draw.integers(0, len(languages), videos, dtype=np.int32),
        countries=text_table(["DE", "US"]),
        item_country=draw.integers(0, 2, videos, dtype=np.int32),
        tags=tags,
        tag_offsets=np.arange(videos + 1, dtype=np.int64) * 2,
        item_tags=draw.integers(0, len(tags), videos * 2, dtype=np.int32),
        item_duration_s=draw.uniform(5, 120, videos).astype(np.float32),
        item_published_ms=draw.integers(1_700_000_000_000, 1_750_000_000_000, videos),
        item_active=np.ones(videos, np.bool_),
    )
    return ModelBundle(_manifest(videos), arrays)


def _items(draw: np.random.Generator, videos: int, jitter: float) -> tuple[Floats, Floats]:
    fall = (np.arange(1, DIMENSIONS + 1) ** -0.5).astype(np.float32)
    theme = draw.integers(0, _THEMES, videos)
    bias, prior = (_spread(draw, theme, jitter) * scale for scale in (0.3, 0.2))
    embedding = draw.standard_normal((_THEMES, DIMENSIONS), np.float32)[theme]
    embedding += np.float32(jitter) * draw.standard_normal((videos, DIMENSIONS), np.float32)
    embedding *= fall * np.float32(1.26 / np.linalg.norm(fall) / np.hypot(1, jitter))
    return np.column_stack([bias, np.ones(videos), embedding]).astype(np.float32), prior.astype(np.float32)


def _spread(draw: np.random.Generator, theme: np.ndarray, jitter: float) -> np.ndarray:
    drawn = draw.standard_normal(_THEMES)[theme] + jitter * draw.standard_normal(len(theme))
    return np.asarray(drawn / np.hypot(1, jitter))


def _users(draw: np.random.Generator, users: int) -> Floats:
    item_fall = np.arange(1, DIMENSIONS + 1) ** -0.5
    item_fall *= 1.26 / np.linalg.norm(item_fall)
    fall = np.arange(1, DIMENSIONS + 1) ** -0.4
    own = draw.standard_normal((users, DIMENSIONS)) * fall
    common = draw.standard_normal(DIMENSIONS) * fall
    own *= 1.1 / np.linalg.norm(fall * item_fall)
    common *= 0.5 / np.linalg.norm(common * item_fall)
    return np.column_stack([np.ones(users), draw.standard_normal(users), own + common]).astype(np.float32)


def _manifest(videos: int) -> Manifest:
    now = datetime(2025, 9, 1, tzinfo=UTC)
    return Manifest(
        format_version=FORMAT_VERSION,
        model_version=f"bench-{videos}",
        algorithm="lightfm-warp",
        contract=CONTRACT_RELEASE,
        created_time=now,
        data_from=now,
        data_until=now,
        seed=1,
        threads=1,
        dimensions=DIMENSIONS,
        params={},
        metrics={},
    )
