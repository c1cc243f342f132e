"""Tells of each served page: with everything that is needed to judge it later."""

import struct
from collections.abc import Mapping, Sequence
from itertools import starmap
from typing import Final

from bridge.domain.page import SEPARATOR, Page, join_ids, split_ids
from bridge.domain.served_record import ServedExperiment, ServedRecord, columns, instant
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
        """Takes a finished page; nothing is told of one whose user does not want to be known."""
        if record.withheld:
            return
        response, page, request = record.response, record.page, record.request
        answer = record.answer
        places = () if answer is None else _places(page, answer)
        self._served.take(
            ServedRecord(
                response.recommendation_id,
                record.user_id,
                response.feed_session_id,
                instant(int(self._clock.wall() * 1000)),
                response.algorithm,
                record.source,
                record.fallback_reason,
                response.model_version,
                record.rung,
                record.continued,
                tuple(starmap(ServedExperiment, record.experiments)),
                page.first_position,
                page.video_ids,
                page.scores,
                record.attempts,
                round(record.elapsed_s * 1000, 3),
                {} if answer is None else score_parts(answer, places),
                tuple(place for place, _ in page.explored),
                tuple(propensity for _, propensity in page.explored),
                served_filters(request.filters) if request.HasField("filters") else {},
                {} if answer is None else dict(answer.removed),
            )
        )


def _places(page: Page, answer: scoring_pb2.RankResponse) -> Sequence[int]:
    """Returns where each video of the page stands in the answer; nothing when one does not."""
    head, best = join_ids(page.video_ids), answer.compact_video_ids
    if best.startswith(head) and best[len(head) : len(head) + 1] in {"", SEPARATOR}:
        return range(len(page.video_ids))
    # Some of the answer was kept off the page.
    place_of = {video_id: place for place, video_id in enumerate(split_ids(best))}
    places = [place_of.get(video_id, -1) for video_id in page.video_ids]
    return () if -1 in places else places


def score_parts(answer: scoring_pb2.RankResponse, places: Sequence[int]) -> Mapping[str, Sequence[float]]:
    """Returns what the scores of some videos are made of, by the part's name one number a video.

    Empty when the scorer did not tell of each: what is told must be true of each.

    Args:
        answer: What the scorer answered.
        places: Where the videos stand in it.
    """
    names = answer.part_names
    row_bytes = len(names) * _FLOAT_BYTES
    if not names or not places or (max(places) + 1) * row_bytes > len(answer.compact_parts):
        return {}
    told = answer.compact_parts[: (max(places) + 1) * row_bytes]
    rows = list(struct.iter_unpack(f"<{len(names)}f", told))
    return columns(names, [value for place in places for value in rows[place]])
