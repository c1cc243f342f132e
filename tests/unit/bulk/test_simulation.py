from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from interactions.bulk.rows import Row
from interactions.bulk.simulation import PAGE_SIZE, Simulation, Size

UNTIL = datetime(2026, 5, 1, 12, tzinfo=UTC)
SIZE = Size(users=150, videos=200, days=7)


def everything(seed: int = 7, until: datetime = UNTIL) -> tuple[list[Row], list[Row], list[Row]]:
    simulation = Simulation(SIZE, seed, until)
    return simulation.video_rows(), simulation.user_rows(), list(simulation.interaction_rows())


@pytest.fixture(scope="module")
def log() -> list[Row]:
    return everything()[2]


def test_the_same_seed_and_end_give_the_same_rows() -> None:
    assert everything() == everything()


def test_another_seed_gives_other_rows(log: list[Row]) -> None:
    assert not {row[0] for row in log} & {row[0] for row in everything(seed=8)[2]}


def test_a_later_end_keeps_the_people_and_the_videos() -> None:
    videos, users, _ = everything()
    later_videos, later_users, _ = everything(until=UNTIL + timedelta(hours=1))
    assert users == later_users
    assert [row[:7] for row in videos] == [row[:7] for row in later_videos]


def test_ids_are_of_users_and_videos_that_exist(log: list[Row]) -> None:
    videos, users, _ = everything()
    assert {row[1] for row in log} == {row[0] for row in users} == {f"u{n}" for n in range(1, 151)}
    assert {row[2] for row in log} <= {row[0] for row in videos} == {f"v{n}" for n in range(1, 201)}


def test_event_ids_are_all_different(log: list[Row]) -> None:
    assert len({row[0] for row in log}) == len(log)


def test_the_log_ends_shortly_before_the_end_and_lasts_the_days(log: list[Row]) -> None:
    times = [row[5] for row in log if isinstance(row[5], datetime)]
    assert UNTIL - timedelta(hours=6) < max(times) <= UNTIL
    assert UNTIL - timedelta(days=7) <= min(times) < UNTIL - timedelta(days=6)


def test_no_video_is_shown_to_a_user_twice(log: list[Row]) -> None:
    shown = Counter((row[1], row[2]) for row in log if row[3] in ("VIEW", "SKIP"))
    assert shown.most_common(1)[0][1] == 1


def test_no_video_is_shown_before_it_is_published(log: list[Row]) -> None:
    published = {row[0]: row[7] for row in everything()[0]}
    assert all(row[5] >= published[row[2]] for row in log)  # type: ignore[operator]


def test_a_page_has_its_places_in_order(log: list[Row]) -> None:
    places = [row[8] for row in log if row[7] == "sim-u3-1" and row[3] in ("VIEW", "SKIP")]
    assert places == list(range(1, PAGE_SIZE + 1))


def test_lower_places_are_skipped_more(log: list[Row]) -> None:
    def skipped(place: int) -> float:
        return float(np.mean([row[3] == "SKIP" for row in log if row[8] == place and row[3] in ("VIEW", "SKIP")]))

    assert skipped(PAGE_SIZE) > skipped(1) + 0.1


def test_what_matches_is_watched_longer_than_what_does_not() -> None:
    simulation = Simulation(SIZE, 7, UNTIL)
    world = simulation._world
    matched: dict[str, list[float]] = {"VIEW": [], "SKIP": []}
    for row in simulation.interaction_rows():
        if row[3] in matched:
            user, video = int(str(row[1])[1:]) - 1, int(str(row[2])[1:]) - 1
            matched[str(row[3])].append(float(world.match[user, video]))
    assert np.mean(matched["VIEW"]) > np.mean(matched["SKIP"]) + 0.3


def test_popularity_is_uneven(log: list[Row]) -> None:
    shown = Counter(row[2] for row in log if row[3] in ("VIEW", "SKIP"))
    top_tenth = sum(count for _, count in shown.most_common(20))
    assert top_tenth / shown.total() > 0.2  # evenly it were 0.1


def test_a_long_log_of_few_videos_runs_out_of_sessions_not_of_videos() -> None:
    simulation = Simulation(Size(users=20, videos=50, days=90), 1, UNTIL)
    shown = Counter(row[1] for row in simulation.interaction_rows() if row[3] in ("VIEW", "SKIP"))
    assert max(shown.values()) <= 25
