"""What a request says is what the domain is asked."""

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from feed.common.v1.common_pb2 import VideoFilters
from feed.interactions.v1 import interactions_pb2
from feed.interactions.v1.interactions_pb2 import Interaction
from feed.scoring.v1 import scoring_pb2 as pb
from scorer.adapters.wishes import wish_of
from scorer.domain.corrections import Correction, Kind, Part
from scorer.domain.filters import Filters
from scorer.domain.fold_in import Did, Recent
from scorer.domain.wish import Stages, Wish


def test_a_bare_request_asks_for_nothing_special() -> None:
    assert wish_of(pb.RankRequest(user_id="up")) == Wish("up", exclude_video_ids=[], recent=[], corrections=[])


def test_every_field_is_taken_over() -> None:
    request = pb.RankRequest(
        user_id="up",
        k=7,
        filters=VideoFilters(
            include_tags=["a"],
            exclude_tags=["b"],
            exclude_video_ids=["v1"],
            exclude_author_ids=["c"],
            languages=["en"],
            max_duration_s=9,
            published_after=Timestamp(seconds=1, nanos=1),
            include_author_ids=["d"],
            exclude_languages=["de"],
            min_duration_s=3,
            published_before=Timestamp(seconds=2),
            countries=["AT"],
        ),
        recent_interactions=[
            Interaction(
                video_id="v2",
                interaction_type=interactions_pb2.VIEW,
                watch_time_s=4,
                timestamp=Timestamp(seconds=5),
            )
        ],
        timeout_ms=1500,
        compact_exclude_video_ids="v3\nv4",
        seed=2**64 - 1,
        stages=pb.Stages(
            shuffle=0.5,
            diversity=0.25,
            max_run=3,
            exploration=0.125,
            skip_prior=True,
            skip_fold_in=True,
            skip_seen=True,
        ),
        corrections=[
            pb.ScoreCorrection(kind=pb.BOOST, value=2, video_id="v5", author_id="e", tag="f", language="pt"),
            pb.ScoreCorrection(kind=pb.REDUCE, value=1),
            pb.ScoreCorrection(kind=pb.BLOCK, tag="g"),
            pb.ScoreCorrection(kind=pb.REWEIGHT, value=0.5, part="prior"),
            pb.ScoreCorrection(kind=pb.REWEIGHT, value=0.5, part="what no score has"),
        ],
        parts=20,
        user_features=["country=AT", "age=old"],
    )
    filters = Filters(("a",), ("b",), ("c",), ("en",), 9.0, 1001, ("d",), ("de",), 3.0, 2000, ("AT",))
    assert wish_of(request) == Wish(
        "up",
        7,
        filters,
        ["v1", "v2"],
        [Recent("v2", Did.WATCHED, 4.0, 5000)],
        1.5,
        "v3\nv4",
        2**64 - 1,
        Stages(0.5, 0.25, 3, 0.125, skip_prior=True, skip_fold_in=True, skip_seen=True),
        [
            Correction(Kind.BOOST, 2.0, "v5", "e", "f", "pt"),
            Correction(Kind.REDUCE, 1.0),
            Correction(Kind.BLOCK, tag="g"),
            Correction(Kind.REWEIGHT, 0.5, part=Part.PRIOR),
            Correction(Kind.REWEIGHT, 0.5),
        ],
        20,
        ("country=AT", "age=old"),
    )


@pytest.mark.parametrize(
    ("rating", "did"), [(8.0, Did.LIKED), (7.0, Did.LIKED), (5.0, Did.NOTHING), (3.0, Did.DISLIKED)]
)
def test_a_rating_says_whether_it_was_liked(rating: float, did: Did) -> None:
    rated = Interaction(video_id="v1", interaction_type=interactions_pb2.RATE, rating=rating)
    (recent,) = wish_of(pb.RankRequest(user_id="up", recent_interactions=[rated])).recent
    assert recent.did is did
