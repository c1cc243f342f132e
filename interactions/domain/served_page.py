"""The JSON of `feed.served.v1` as the sink reads it: what the bridge writes, with the bounds of the tables."""

from datetime import UTC, datetime
from typing import Annotated, Final, NamedTuple

import msgspec

from interactions.domain.log_record import UnreadableError

EVENT_NAME: Final = "feed_recommendation_served"
# As many as a page may have.
_MAX_VIDEOS: Final = 100

# No NUL, which PostgreSQL's texts cannot hold; `\Z` and not `$`, which also matches before a line end.
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=128, pattern=r"^[^\x00]*\Z")]
_Text128 = Annotated[str, msgspec.Meta(max_length=128, pattern=r"^[^\x00]*\Z")]
_Text64 = Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[^\x00]*\Z")]
_Text32 = Annotated[str, msgspec.Meta(max_length=32, pattern=r"^[^\x00]*\Z")]
_Text16 = Annotated[str, msgspec.Meta(max_length=16, pattern=r"^[^\x00]*\Z")]
_Place = Annotated[int, msgspec.Meta(ge=0, lt=_MAX_VIDEOS)]
# What is stored as it is need not be taken apart.
_ABSENT: Final = msgspec.Raw(b"")
# NaN and the infinities are null in JSON.
_Numbers = list[float | None]


class ServedExperiment(msgspec.Struct, frozen=True, gc=False):
    """One experiment that the page was part of, and the variant that its user was given."""

    experiment: _Id
    variant: _Id


class ServedPage(msgspec.Struct, frozen=True, rename="camel", tag_field="name", tag=EVENT_NAME, gc=False):
    """A served page; what the fields mean is told where it is written (`bridge/domain/served_record.py`)."""

    recommendation_id: _Id
    user_id: _Id
    feed_session_id: _Id
    timestamp: str
    algorithm: _Text64
    source: _Text16
    fallback_reason: _Text32
    model_version: _Text128
    experiments: list[ServedExperiment]
    first_position: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1 - _MAX_VIDEOS)]
    video_ids: Annotated[list[_Id], msgspec.Meta(max_length=_MAX_VIDEOS)]
    scores: _Numbers
    elapsed_ms: float | None = None
    score_parts: dict[str, _Numbers] = {}
    explored: list[_Place] = []
    propensities: _Numbers = []
    filters_applied: msgspec.Raw = _ABSENT
    removed: msgspec.Raw = _ABSENT


class Served(NamedTuple):
    """A page and when it was served.

    Args:
        page: As it was in the log.
        served_time: In UTC.
    """

    page: ServedPage
    served_time: datetime

    @property
    def key(self) -> str:
        """The id that nobody else has."""
        return self.page.recommendation_id


_DECODER: Final = msgspec.json.Decoder(ServedPage)


def read(value: bytes) -> Served:
    """Reads the JSON of a served page.

    Raises:
        UnreadableError: When it breaks the contract; the text says where.
    """
    try:
        page = _DECODER.decode(value)
        time = datetime.fromisoformat(page.timestamp)
        served_time = time.astimezone(UTC) if time.tzinfo else None
    except (msgspec.MsgspecError, ValueError, OverflowError) as error:
        raise UnreadableError(str(error)) from error
    if served_time is None:
        raise UnreadableError("timestamp: must have a zone")
    _require_columns(page)
    return Served(page, served_time)


def _require_columns(page: ServedPage) -> None:
    videos = len(page.video_ids)
    if len(page.scores) != videos or any(len(numbers) != videos for numbers in page.score_parts.values()):
        raise UnreadableError("scores: must be one a video")
    if len(page.propensities) != len(page.explored) or any(place >= videos for place in page.explored):
        raise UnreadableError("explored: must be places of videos, each with its propensity")
