"""The catalogue as arrays beside the videos of a log."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from runtime.models.model_bundle import (
    UNKNOWN_DURATION_S,
    UNKNOWN_TIME_MS,
    Codes,
    Floats,
    Offsets,
    Texts,
    find_texts,
    text_table,
)
from trainer.domain.log import InteractionLog


@dataclass(frozen=True, slots=True)
class Video:
    """What the catalogue knows of a video; None or empty where it does not.

    Args:
        video_id: Its id.
        author_id: Its author.
        duration_s: Its length, seconds.
        tags: Its tags.
        language: Its language, BCP 47.
        published_ms: When it was published, epoch milliseconds.
        is_active: Whether it may be shown.
        country: Where it is from, ISO 3166-1 alpha-2.
    """

    video_id: str
    author_id: str = ""
    duration_s: float | None = None
    tags: Sequence[str] = field(default=())
    language: str = ""
    published_ms: int | None = None
    is_active: bool = True
    country: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class CatalogueArrays:
    """The catalogue in the order of a video table; fields are those of `ModelArrays`."""

    authors: Texts
    item_author: Codes
    languages: Texts
    item_language: Codes
    countries: Texts
    item_country: Codes
    tags: Texts
    tag_offsets: Offsets
    item_tags: Codes
    item_duration_s: Floats
    item_published_ms: Offsets
    item_active: npt.NDArray[np.bool_]


def with_catalogue(log: InteractionLog, videos: Sequence[Video]) -> InteractionLog:
    """Returns the log with a video table that also holds the videos nobody has interacted with."""
    return log.with_videos(np.union1d(log.video_ids, text_table([video.video_id for video in videos])))


def catalogue_arrays(video_ids: Texts, videos: Sequence[Video]) -> CatalogueArrays:
    """Lays the catalogue out by a video table; a video that nobody has announced is active and unknown."""
    by_row: list[Video] = [Video("")] * len(video_ids)
    for row, video in zip(find_texts(video_ids, [video.video_id for video in videos]), videos, strict=True):
        by_row[row] = video
    authors, author = _coded([video.author_id for video in by_row])
    languages, language = _coded([video.language.lower() for video in by_row])
    countries, country = _coded([video.country.upper() for video in by_row])
    tags = text_table([tag for video in by_row for tag in video.tags])
    return CatalogueArrays(
        authors,
        author,
        languages,
        language,
        countries,
        country,
        tags,
        np.cumsum([0, *(len(video.tags) for video in by_row)], dtype=np.int64),
        find_texts(tags, [tag for video in by_row for tag in video.tags]),
        np.array([_or(video.duration_s, UNKNOWN_DURATION_S) for video in by_row], np.float32),
        np.array([_or(video.published_ms, UNKNOWN_TIME_MS) for video in by_row], np.int64),
        np.array([video.is_active for video in by_row], np.bool_),
    )


def _coded(texts: Sequence[str]) -> tuple[Texts, Codes]:
    table = text_table([text for text in texts if text])
    return table, find_texts(table, texts)


def _or(value: float | None, unknown: float) -> float:
    return unknown if value is None else value
