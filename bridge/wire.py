"""Between the contract's messages and the domain's values."""

import hashlib
import struct
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp

from bridge.domain.filters import Conditions
from bridge.domain.outcome import FallbackReason, Source
from bridge.domain.page import Page, Ranking, split_ids, tidy, unpack_scores
from bridge.domain.recent import FollowedEvent
from feed.common.v1 import common_pb2
from feed.interactions.v1 import interactions_pb2
from feed.recommendations.v1 import recommendations_pb2
from feed.scoring.v1 import scoring_pb2

SOURCES: Final = {source: recommendations_pb2.Source.Value(source.value) for source in Source}
REASONS: Final = {reason: recommendations_pb2.FallbackReason.Value(reason.value) for reason in FallbackReason}
_INTERACTION_TYPES: Final = dict(interactions_pb2.InteractionType.items())

_REPEATED_FILTERS: Final = (
    "include_tags",
    "exclude_tags",
    "exclude_video_ids",
    "include_author_ids",
    "exclude_author_ids",
    "languages",
    "exclude_languages",
    "countries",
)
# Of one video: the parts of its score by their names, and a few words for people.
Reasons: TypeAlias = tuple[Mapping[str, float], str]

_DEFAULT_PAGE_SIZE: Final = 20
_DIGEST_BYTES: Final = 16


def page_size_of(request: recommendations_pb2.GetRecommendationsRequest) -> int:
    """Returns how many videos fill the page that is asked for."""
    return request.page_size or _DEFAULT_PAGE_SIZE


def rank_request(request: recommendations_pb2.GetRecommendationsRequest, k: int) -> scoring_pb2.RankRequest:
    """Returns what a scorer is asked for a fresh feed."""
    asked = scoring_pb2.RankRequest(user_id=request.user_id, k=k, compact=True)
    if request.HasField("filters"):
        asked.filters.CopyFrom(request.filters)
    if request.recent_interactions:
        asked.recent_interactions.MergeFrom(request.recent_interactions)
    return asked


def with_interaction(event: FollowedEvent) -> bytes:
    """Returns a request that holds nothing but what a user did, serialized: to be merged into others."""
    request = recommendations_pb2.GetRecommendationsRequest()
    added = request.recent_interactions.add(
        user_id=event.user_id,
        video_id=event.video_id,
        interaction_type=_INTERACTION_TYPES.get(event.interaction_type, interactions_pb2.INTERACTION_TYPE_UNSPECIFIED),
        watch_time_s=event.watch_time_s,
        rating=event.rating,
    )
    added.timestamp.FromMilliseconds(int(event.time_s * 1000))
    return request.SerializeToString()


def ranked(response: scoring_pb2.RankResponse) -> Ranking | None:
    """Returns the ranking that a scorer answered, whichever way it wrote it; None when it makes no sense."""
    if not response.compact_video_ids:
        video_ids, scores = list(response.video_ids), tuple(response.scores)
    else:
        try:
            video_ids, scores = split_ids(response.compact_video_ids), unpack_scores(response.compact_scores)
        except struct.error:
            return None
    ranking = tidy(video_ids, scores)
    if ranking is None or not response.explored:
        return ranking
    return Ranking(ranking.video_ids, ranking.scores, _propensities(response, video_ids))


def _propensities(response: scoring_pb2.RankResponse, video_ids: Sequence[str]) -> dict[str, float]:
    """Returns which videos hold a place kept for new ones, and with which probability each got it."""
    told = zip(response.explored, response.propensities, strict=False)
    return {video_ids[place]: propensity for place, propensity in told if 0 <= place < len(video_ids)}


def excluded(request: recommendations_pb2.GetRecommendationsRequest) -> frozenset[str]:
    """Returns the videos that must not appear: excluded by name, or just seen."""
    seen = [interaction.video_id for interaction in request.recent_interactions]
    return frozenset((*seen, *request.filters.exclude_video_ids)) if request.HasField("filters") else frozenset(seen)


def conditions(request: recommendations_pb2.GetRecommendationsRequest) -> Conditions:
    """Returns what is asked of every video of a page."""
    if not request.HasField("filters"):
        return Conditions(excluded(request))
    filters = request.filters
    return Conditions(
        excluded(request),
        frozenset(filters.include_tags),
        frozenset(filters.exclude_tags),
        frozenset(filters.exclude_author_ids),
        frozenset(filters.languages),
        filters.max_duration_s,
        _seconds(filters.published_after) if filters.HasField("published_after") else None,
        frozenset(filters.include_author_ids),
        frozenset(filters.exclude_languages),
        filters.min_duration_s,
        _seconds(filters.published_before) if filters.HasField("published_before") else None,
        frozenset(filters.countries),
    )


def _seconds(time: Timestamp) -> float:
    return time.ToNanoseconds() / 1e9


def add_items(
    response: recommendations_pb2.GetRecommendationsResponse,
    page: Page,
    proofs: Sequence[str],
    reasons: Sequence[Reasons] = (),
) -> None:
    """Adds the videos of a page to an answer.

    Args:
        response: The answer.
        page: The page.
        proofs: Of each video, that it was served; none: none is given.
        reasons: Of each video, why it is there; none when nobody asked.
    """
    add = response.recommendations.add
    given = zip(page.video_ids, page.scores, proofs or [""] * len(page.video_ids), strict=True)
    for position, (video_id, score, proof) in enumerate(given, page.first_position):
        add(video_id=video_id, score=score, position=position, served_token=proof)
    for item, (parts, words) in zip(response.recommendations, reasons, strict=bool(reasons)):
        item.explanation = words
        for name, value in parts.items():
            item.reasons.add(component=name, value=value)


def arguments_digest(request: recommendations_pb2.GetRecommendationsRequest) -> bytes:
    """Returns a digest of what must stay the same from page to page: the filters, in any order."""
    if not request.HasField("filters") or not request.filters.ByteSize():
        return b""
    ordered = common_pb2.VideoFilters()
    ordered.CopyFrom(request.filters)
    for name in _REPEATED_FILTERS:
        values: Sequence[str] = sorted(getattr(ordered, name))
        ordered.ClearField(name)
        getattr(ordered, name).extend(values)
    return hashlib.sha256(ordered.SerializeToString(deterministic=True)).digest()[:_DIGEST_BYTES]
