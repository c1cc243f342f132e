"""From `RankRequest` to what the domain is asked."""

from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from feed.common.v1 import common_pb2
from feed.interactions.v1 import interactions_pb2
from feed.scoring.v1 import scoring_pb2 as pb
from runtime.models.model_bundle import DISLIKED_RATING, LIKED_RATING
from scorer.domain.corrections import Correction, Kind, Part
from scorer.domain.filters import NO_FILTERS, Filters
from scorer.domain.fold_in import Did, Recent
from scorer.domain.wish import NO_STAGES, Choice, Stages, Wish

# A click alone tells that the cover worked, not that the video did.
_DID: Final = {
    interactions_pb2.VIEW: Did.WATCHED,
    interactions_pb2.LIKE: Did.LIKED,
    interactions_pb2.SHARE: Did.LIKED,
    interactions_pb2.COMMENT: Did.LIKED,
    interactions_pb2.FOLLOW: Did.LIKED,
    interactions_pb2.SKIP: Did.DISLIKED,
    interactions_pb2.HIDE: Did.DISLIKED,
}

_KINDS: Final = {pb.BOOST: Kind.BOOST, pb.REDUCE: Kind.REDUCE, pb.BLOCK: Kind.BLOCK, pb.REWEIGHT: Kind.REWEIGHT}
_CHOICES: Final = {
    pb.MODEL_CHOICE_UNSPECIFIED: Choice.AS_TRIED,
    pb.LIVE: Choice.LIVE,
    pb.CANDIDATE: Choice.CANDIDATE,
}
_PARTS: Final = {part.value: part for part in Part}


def wish_of(request: pb.RankRequest) -> Wish:
    """Returns what a valid request asks for."""
    recent = request.recent_interactions
    return Wish(
        request.user_id,
        request.k,
        _filters(request.filters) if request.HasField("filters") else NO_FILTERS,
        [*request.filters.exclude_video_ids, *(each.video_id for each in recent)],
        [_recent(each) for each in recent],
        request.timeout_ms / 1000 or None,
        request.compact_exclude_video_ids,
        request.seed,
        _stages(request.stages) if request.HasField("stages") else NO_STAGES,
        [_correction(each) for each in request.corrections],
        request.parts,
        tuple(request.user_features),
        _CHOICES[request.model_choice],
    )


def _recent(given: interactions_pb2.Interaction) -> Recent:
    return Recent(given.video_id, _did(given), given.watch_time_s, given.timestamp.ToMilliseconds())


def _did(given: interactions_pb2.Interaction) -> Did:
    if given.interaction_type != interactions_pb2.RATE:
        return _DID.get(given.interaction_type, Did.NOTHING)
    if given.rating >= LIKED_RATING:
        return Did.LIKED
    return Did.DISLIKED if given.rating <= DISLIKED_RATING else Did.NOTHING


def _filters(given: common_pb2.VideoFilters) -> Filters:
    return Filters(
        include_tags=tuple(given.include_tags),
        exclude_tags=tuple(given.exclude_tags),
        exclude_author_ids=tuple(given.exclude_author_ids),
        languages=tuple(given.languages),
        max_duration_s=given.max_duration_s,
        published_after_ms=_epoch_ms(given.published_after) if given.HasField("published_after") else None,
        include_author_ids=tuple(given.include_author_ids),
        exclude_languages=tuple(given.exclude_languages),
        min_duration_s=given.min_duration_s,
        published_before_ms=_epoch_ms(given.published_before) if given.HasField("published_before") else None,
        countries=tuple(given.countries),
    )


def _epoch_ms(time: Timestamp) -> int:
    """Rounds up: whole milliseconds are before a time just when they are before the next whole one."""
    return -(-time.ToNanoseconds() // 1_000_000)


def _stages(given: pb.Stages) -> Stages:
    return Stages(
        shuffle=given.shuffle,
        diversity=given.diversity,
        max_run=given.max_run,
        exploration=given.exploration,
        skip_prior=given.skip_prior,
        skip_fold_in=given.skip_fold_in,
        skip_seen=given.skip_seen,
    )


def _correction(given: pb.ScoreCorrection) -> Correction:
    """Takes a correction over; one that reweighs a part which scores do not have changes nothing."""
    return Correction(
        _KINDS[given.kind],
        given.value,
        given.video_id,
        given.author_id,
        given.tag,
        given.language,
        _PARTS.get(given.part),
    )
