"""Tells of each served page: with everything that is needed to judge it later."""

import struct
from collections.abc import Mapping, Sequence
from typing import Final

from bridge.domain.page import SEPARATOR, Page, join_ids
from bridge.domain.served_record import ServedRecord, columns, instant
from bridge.ports import Clock
from bridge.served import Served
from bridge.served_filters import served_filters
from bridge.telemetry import NullObserver, PageServed
from feed.scoring.v1 import scoring_pb2

_FLOAT_BYTES: Final = 4


class ServedPages(NullObserver):
    """An observer that makes the record of each page.

    Args:
        served: What takes the records.
        clock: Time.
    """

    def __init__(self, served: Served, clock: Clock) -> None:
        self._served = served
        self._clock = clock

    def page_served(self, record: PageServed) -> None:
        """Takes a finished page."""
        response, page, request = record.response, record.page, record.request
        answer = record.answer if record.answer is not None and _is_head_of(page, record.answer) else None
        self._served.take(
            ServedRecord(
                response.recommendation_id,
                record.user_id,
                response.feed_session_id,
                instant(self._clock.wall()),
                response.algorithm,
                record.source,
                record.fallback_reason,
                response.model_version,
                record.rung,
                record.continued,
                (),
                page.first_position,
                page.video_ids,
                page.scores,
                record.attempts,
                round(record.elapsed_s * 1000, 3),
                {} if answer is None else score_parts(answer, len(page.video_ids)),
                () if answer is None else [place for place in answer.explored if place < len(page.video_ids)],
                () if answer is None else _propensities(answer, len(page.video_ids)),
                served_filters(request.filters) if request.HasField("filters") else {},
                {} if answer is None else dict(answer.removed),
            )
        )


def _is_head_of(page: Page, answer: scoring_pb2.RankResponse) -> bool:
    """Says whether the page is the answer's best videos as they came: what is told by place is then theirs."""
    head, best = join_ids(page.video_ids), answer.compact_video_ids
    return best.startswith(head) and best[len(head) : len(head) + 1] in {"", SEPARATOR}


def score_parts(answer: scoring_pb2.RankResponse, videos: int) -> Mapping[str, Sequence[float]]:
    """Returns what the scores of the first videos are made of, by the part's name one number a video.

    Empty when the scorer told of fewer: what is told must be true of each.
    """
    names = answer.part_names
    wanted = videos * len(names) * _FLOAT_BYTES
    if not names or len(answer.compact_parts) < wanted:
        return {}
    return columns(names, struct.unpack(f"<{videos * len(names)}f", answer.compact_parts[:wanted]))


def _propensities(answer: scoring_pb2.RankResponse, videos: int) -> Sequence[float]:
    return [each for place, each in zip(answer.explored, answer.propensities, strict=True) if place < videos]
