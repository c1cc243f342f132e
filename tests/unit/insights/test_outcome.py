"""Which action makes which outcome, and which one stands."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insights.domain.outcome import (
    BITS,
    BY_INTERACTION,
    NOTHING,
    STATUSES,
    Deeds,
    Outcome,
    confidence_match,
    deed,
    deeds_of,
    joined,
    outcome_of,
    was_successful,
)
from interactions.domain.event import InteractionType

TIME = datetime(2025, 9, 1, 12, tzinfo=UTC)

ACTIONS = st.sampled_from([*BITS])
TIMES = st.integers(0, 5).map(lambda hours: TIME + timedelta(hours=hours))
DEEDS = st.one_of(
    st.builds(deed, ACTIONS, st.none() | st.sampled_from([0.0, 4.0, 9.0]), TIMES),
    st.builds(
        deeds_of, st.sampled_from([*BY_INTERACTION]), st.sampled_from([0.0, 3.0, 10.0]), st.just(10.0), st.none(), TIMES
    ),
)


def all_of(deeds: list[Deeds]) -> Deeds:
    known = NOTHING
    for each in deeds:
        known = joined(known, each)
    return known


@given(st.lists(DEEDS, max_size=6), st.randoms(use_true_random=False))
def test_order_and_copies_do_not_matter(deeds: list[Deeds], chance: Random):
    told = [*deeds, *chance.choices(deeds, k=len(deeds))] if deeds else []
    chance.shuffle(told)
    assert all_of(told) == all_of(deeds)


@given(st.lists(DEEDS, max_size=6), DEEDS)
def test_what_is_heard_later_never_lowers_the_outcome(deeds: list[Deeds], later: Deeds):
    ranks = [*Outcome]
    before = outcome_of(all_of(deeds), window_over=False)
    after = outcome_of(all_of([*deeds, later]), window_over=True)
    assert ranks.index(after) >= ranks.index(before)


@given(st.lists(DEEDS, min_size=1, max_size=4), st.lists(DEEDS, max_size=4))
def test_what_came_in_parts_is_what_came_at_once(some: list[Deeds], rest: list[Deeds]):
    assert joined(all_of(some), all_of(rest)) == all_of([*some, *rest])


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param([], Outcome.IGNORED, id="nothing"),
        pytest.param(["SKIP"], Outcome.IGNORED, id="swiped away"),
        pytest.param(["SKIP", "VIEW"], Outcome.CONSUMED, id="swiped away and watched after all"),
        pytest.param(["COMMENT"], Outcome.CONSUMED, id="commented"),
        pytest.param(["LIKE", "VIEW", "CLICK"], Outcome.LIKED, id="liked"),
        pytest.param(["FOLLOW", "LIKE"], Outcome.ADDED, id="followed"),
        pytest.param(["SHARE", "LIKE", "FOLLOW"], Outcome.SHARED, id="shared"),
        pytest.param(["RATE", "SHARE"], Outcome.RATED, id="rated"),
        pytest.param(["HIDE", "LIKE", "RATE"], Outcome.HIDDEN, id="hidden"),
        pytest.param(["WAVE"], Outcome.IGNORED, id="what a later contract may have"),
    ],
)
def test_the_highest_action_is_the_outcome(told: list[str], expected: Outcome):
    deeds = [deeds_of(kind, 1.0, None, None, TIME) for kind in told]
    assert outcome_of(all_of(deeds), window_over=True) is expected


def test_nothing_is_pending_until_the_window_is_over():
    assert outcome_of(NOTHING, window_over=False) is Outcome.PENDING
    assert outcome_of(deed(Outcome.IGNORED, None, TIME), window_over=False) is Outcome.IGNORED


@pytest.mark.parametrize(
    ("watch_time_s", "duration_s", "expected"),
    [
        (9.0, 10.0, Outcome.WATCHED),
        (8.9, 10.0, Outcome.CONSUMED),
        (8.9, None, Outcome.CONSUMED),
        (5.0, 0.0, Outcome.CONSUMED),
    ],
)
def test_a_view_of_nine_tenths_is_one_to_the_end(watch_time_s: float, duration_s: float | None, expected: Outcome):
    deeds = deeds_of("VIEW", watch_time_s, duration_s, None, TIME)
    assert outcome_of(deeds, window_over=False) is expected
    assert deeds.watch_time_s == watch_time_s


def test_the_last_rating_counts():
    first, last = (deed(Outcome.RATED, rating, TIME + timedelta(hours=hours)) for rating, hours in ((9.0, 1), (2.0, 2)))
    assert (joined(last, first).rating, joined(first, last).rating) == (2.0, 2.0)


@pytest.mark.parametrize(
    ("outcome", "rating", "expected"),
    [
        (Outcome.PENDING, None, None),
        (Outcome.IGNORED, None, False),
        (Outcome.CONSUMED, None, True),
        (Outcome.RATED, 5.0, True),
        (Outcome.RATED, 4.9, False),
        (Outcome.HIDDEN, 9.0, False),
    ],
)
def test_what_was_right_to_serve(outcome: Outcome, rating: float | None, expected: bool | None):
    assert was_successful(outcome, rating) is expected


def test_the_first_place_promises_a_success():
    assert [confidence_match(1.0, successful) for successful in (True, False, None)] == [1.0, 0.0, None]
    assert confidence_match(0.25, successful=False) == 0.75


def test_every_type_of_interaction_has_its_action():
    assert {each.value for each in InteractionType} == set(BY_INTERACTION)
    assert set(STATUSES) == set(Outcome) - {Outcome.PENDING}
