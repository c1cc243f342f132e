"""What follows from how runs go."""

from datetime import UTC, datetime, timedelta

import pytest

from trainer.domain.runs import lacks_good_model, may_begin_again, retry_after, was_missed

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def at(hour: float, day: int = 2) -> datetime:
    return datetime(2026, 1, day, tzinfo=UTC) + timedelta(hours=hour)


@pytest.mark.parametrize(
    ("now", "last_start", "missed"),
    [
        pytest.param(at(2.5), at(2, day=1), True, id="the scheduler came half an hour late"),
        pytest.param(at(8), at(2, day=1), True, id="it is still early enough"),
        pytest.param(at(8.1), at(2, day=1), False, id="it is too late"),
        pytest.param(at(2.5), at(2.01), False, id="the run began"),
        pytest.param(at(1.5), at(2, day=1), False, id="the night is still to come"),
        pytest.param(at(0.5, day=3), at(2, day=2), False, id="midnight is no reason"),
        pytest.param(at(2), at(2, day=1), False, id="now is its time, which the clock knows itself"),
        pytest.param(at(2.5), None, False, id="nothing ever ran"),
    ],
)
def test_a_night_is_made_up_for_when_it_was_missed(now: datetime, last_start: datetime | None, missed: bool) -> None:
    assert was_missed(now, last_start, 2, 0) is missed


@pytest.mark.parametrize(
    ("now", "killed_start", "begun", "again"),
    [
        pytest.param(at(2.5), at(2), 1, True, id="tonight's was killed"),
        pytest.param(at(8), at(2.01), 1, True, id="it is still early enough"),
        pytest.param(at(8.1), at(2.01), 1, False, id="it is too late"),
        pytest.param(at(2.5), at(2.2), 2, False, id="that was the second one already"),
        pytest.param(at(1.9), at(1.5), 0, False, id="somebody's own, before tonight's time"),
    ],
)
def test_a_killed_night_begins_once_more(now: datetime, killed_start: datetime, begun: int, again: bool) -> None:
    assert may_begin_again(now, killed_start, begun, 2, 0) is again


def test_waiting_doubles_up_to_an_hour() -> None:
    minutes = [retry_after(attempts) / timedelta(minutes=1) for attempts in (1, 2, 3, 6, 7, 1000)]
    assert minutes == [1, 2, 4, 32, 60, 60]


@pytest.mark.parametrize(
    ("last_success", "lacks"),
    [(None, True), (NOON - timedelta(hours=36), False), (NOON - timedelta(hours=36, seconds=1), True)],
)
def test_36_hours_without_a_good_model_are_too_many(last_success: datetime | None, lacks: bool) -> None:
    assert lacks_good_model(NOON, last_success) is lacks
