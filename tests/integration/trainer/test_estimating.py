"""`feed trainer estimate` on tables as the sink and the ledger write them."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from runtime.models.model_bundle import BundleError
from storage.tables import prediction_outcomes, recommendation_decisions
from tests.model_bundles import TRAINED, arrays_of, manifest_of
from trainer.estimating import NotEstimableError, estimate_choices
from trainer.report.terminal import estimate_text
from trainer.service import Training

Jobs = Callable[..., Training]

USERS, VIDEOS, PLACES = 400, 20, 10
AFTER = TRAINED + timedelta(hours=1)


def publish(job: Training) -> None:
    """A model in which even users like the last videos best, odd users the first ones; it does not know v99."""
    scores = {f"u{number:03}": (0.0, 1.0 if number % 2 == 0 else -1.0, 0.0) for number in range(USERS)}
    arrays = arrays_of(scores, [f"v{number:02}" for number in range(VIDEOS)], seen={"u000": ["v19"]})
    job.store.publish(manifest_of("tried"), arrays)


def place(page: int, position: int, user_id: str, video_id: str, *, accepted: bool, **fields: Any) -> dict[str, Any]:
    """A kept place, and its outcome."""
    return {
        "recommendation_id": f"r{page}",
        "position": position,
        "user_id": user_id,
        "video_id": video_id,
        "source_type": "LIGHTFM",
        "algorithm": "lightfm-warp",
        "propensity": 1 / VIDEOS,
        "created_at": AFTER,
        "user_action": "consumed" if accepted else "ignored",
        "status_after": "accepted" if accepted else "ignored",
        **fields,
    }


def put(engine: sa.Engine, places: list[dict[str, Any]]) -> None:
    rest: Mapping[str, Any] = {"group_id": 1, "actions": 0, "watch_time_s": 0.0, "confidence": 1.0}
    shared = ("recommendation_id", "position", "created_at")
    outcome = (*shared, "user_action", "status_after")
    decision = (*shared, "user_id", "video_id", "source_type", "algorithm", "propensity")
    with engine.begin() as connection:
        connection.execute(
            sa.insert(recommendation_decisions), [{name: each[name] for name in decision} for each in places]
        )
        connection.execute(
            sa.insert(prediction_outcomes), [{**rest, **{name: each[name] for name in outcome}} for each in places]
        )


def is_liked(user: int, video: int) -> bool:
    return (video >= VIDEOS // 2) == (user % 2 == 0)


def lots(**fields: Any) -> list[dict[str, Any]]:
    """Places that went to every new video with the same chance; users accept what the model would choose."""
    drawn = np.random.default_rng(1).integers(0, VIDEOS, (USERS, PLACES)).tolist()
    return [
        place(user, nth, f"u{user:03}", f"v{video:02}", accepted=is_liked(user, video), **fields)
        for user, videos in enumerate(drawn)
        for nth, video in enumerate(videos, 1)
    ]


def test_a_model_whose_choices_are_liked_leads(engine: sa.Engine, job_of: Jobs) -> None:
    """All its choices are accepted, half of what lots chose was; beside them stands everything that must not count."""
    job = job_of()
    publish(job)
    put(engine, lots())
    put(
        engine,
        [
            place(1_000, 1, "u001", "v00", accepted=False, created_at=TRAINED),
            place(1_001, 1, "u001", "v00", accepted=False, source_type="TRENDING"),
            place(1_002, 1, "u001", "v00", accepted=False, propensity=None),
            place(1_003, 1, "u001", "v00", accepted=True, created_at=AFTER + timedelta(hours=1)),
            place(
                1_004,
                1,
                "u001",
                "v00",
                accepted=False,
                user_action="pending",
                status_after=None,
                created_at=AFTER + timedelta(hours=1),
            ),
            place(1_005, 1, "stranger", "v00", accepted=False),
        ],
    )

    found = estimate_choices(job, "tried")

    rows = [each for each in lots() if each["status_after"] == "accepted"]
    assert (found.version, found.since, found.strangers) == ("tried", TRAINED, 1)
    assert (found.support.places, found.support.users, found.support.cut) == (USERS * PLACES, USERS, 0)
    assert found.estimate.served.mean == pytest.approx(len(rows) / (USERS * PLACES))
    assert found.estimate.ips.mean == pytest.approx(1, abs=0.05)
    # u000 has seen one of the ten, and chooses the next in its place.
    assert found.estimate.snips.mean == pytest.approx(1, abs=0.001)
    assert found.estimate.lead.is_above_zero
    text = estimate_text(found)
    assert (
        f"tried: {USERS * PLACES:,} places kept for new videos, of {USERS} users, after 2025-09-01 02:00:00 UTC" in text
    )
    assert f"as served, by lot     {found.estimate.served.mean:.3%} [" in text


def test_videos_that_the_model_does_not_know_are_not_its_choice(engine: sa.Engine, job_of: Jobs) -> None:
    """Half of the lots fell on newer ones: as lots could fall on every choice nothing is outside."""
    job = job_of()
    publish(job)
    known = [{**each, "propensity": 0.5 / VIDEOS} for each in lots()]
    newer = [{**each, "position": each["position"] + PLACES, "video_id": "v99"} for each in known]
    put(engine, known + newer)
    found = estimate_choices(job, "tried")
    assert found.support.places == 2 * USERS * PLACES
    assert found.support.weight.mean == pytest.approx(1, abs=0.05)


def test_a_model_that_knows_none_of_the_videos_is_refused(engine: sa.Engine, job_of: Jobs) -> None:
    job = job_of()
    publish(job)
    put(engine, [{**each, "video_id": "v99"} for each in lots()])
    with pytest.raises(NotEstimableError, match="are worth 0 users"):
        estimate_choices(job, "tried")


def test_what_cannot_be_told_is_refused(engine: sa.Engine, job_of: Jobs) -> None:
    job = job_of()
    publish(job)
    with pytest.raises(BundleError, match="no model serves"):
        estimate_choices(job, "live")
    with pytest.raises(BundleError, match="missing"):
        estimate_choices(job, "nothing")
    with pytest.raises(NotEstimableError, match="FEED_BRIDGE_EXPLORATION above 0"):
        estimate_choices(job, "tried")
    put(engine, lots()[: 50 * PLACES])
    with pytest.raises(
        NotEstimableError, match=r"have 500 kept places, but the lots .* are worth 4. users, 100 are needed"
    ):
        estimate_choices(job, "tried")
