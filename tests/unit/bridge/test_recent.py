"""Users' newest interactions, followed in the database and added to what is asked for them."""

from collections.abc import Awaitable, Callable, Sequence

import pytest

from bridge.domain.recent import FollowedEvent, RecentEvents, RecentPolicy
from bridge.fakes import FakeClock, Recorder
from bridge.ports import ListError
from bridge.recent import RecentFollower, Request
from feed.interactions.v1 import interactions_pb2 as pb
from tests.polling import until

SMALL = RecentPolicy(events=4, events_a_user=2)


def row(number: int, user_id: str, video_id: str, time_s: float = 1.0) -> FollowedEvent:
    return FollowedEvent(number, user_id, video_id, "LIKE", 1.5, time_s)


def names(events: Sequence[FollowedEvent]) -> list[str]:
    return [each.video_id for each in events]


def test_the_newest_of_a_user_are_kept() -> None:
    events = RecentEvents(SMALL)
    for name in "abc":
        events.add(row(1, "u1", name))
    assert (names(events.since("u1", -1)), events.count) == (["b", "c"], 2)


def test_users_of_whom_nothing_came_for_longest_are_forgotten() -> None:
    events = RecentEvents(SMALL)
    for user, name in (("u1", "a"), ("u2", "b"), ("u2", "c"), ("u1", "d"), ("u3", "e")):
        events.add(row(1, user, name))
    assert [names(events.since(user, -1)) for user in ("u1", "u2", "u3")] == [["a", "d"], [], ["e"]]
    assert events.count == 3


def test_what_the_model_was_trained_on_is_not_told() -> None:
    events = RecentEvents(SMALL)
    events.add(row(1, "u1", "at", 5.0))
    events.add(row(2, "u1", "after", 5.1))
    assert names(events.since("u1", 5.0)) == ["after"]


class Table:
    """The port, on a list of rows; `down` makes it fail."""

    def __init__(self, *rows: FollowedEvent) -> None:
        self.rows = list(rows)
        self.down = False

    async def newest_row(self) -> int:
        if self.down:
            raise ListError("down")
        return max((each.row for each in self.rows), default=0)

    async def rows_after(self, row: int, limit: int) -> Sequence[FollowedEvent]:
        if self.down:
            raise ListError("down")
        return sorted(each for each in self.rows if each.row > row)[:limit]

    async def rows_of(self, numbers: Sequence[int]) -> Sequence[FollowedEvent]:
        return sorted(each for each in self.rows if each.row in numbers)


def following(table: Table, policy: RecentPolicy = SMALL) -> tuple[RecentFollower, FakeClock, Recorder]:
    clock, recorder = FakeClock(), Recorder()
    return RecentFollower(table, policy, clock, recorder), clock, recorder


def completed(follower: RecentFollower, request: Request) -> list[str]:
    follower.complete(request)
    return [each.video_id for each in request.recent_interactions]


async def test_what_comes_into_the_database_is_added_to_requests() -> None:
    table = Table(row(1, "u1", "a", 1.0))
    follower, _, _ = following(table)
    await follower.look()
    table.rows += [row(2, "u1", "b", 2.0), row(3, "u2", "c", 3.0)]
    await follower.look()

    assert completed(follower, Request(user_id="u1")) == ["a", "b"]
    assert completed(follower, Request(user_id="u3")) == []
    follower.trained_until(1.0)
    assert completed(follower, Request(user_id="u1")) == ["b"]


async def test_a_start_reads_as_many_rows_as_are_kept() -> None:
    table = Table(*(row(number, f"u{number}", "a") for number in range(1, 11)))
    follower, _, _ = following(table)
    await follower.look()
    known = [user for user in (f"u{row}" for row in range(1, 11)) if completed(follower, Request(user_id=user))]
    assert known == ["u7", "u8", "u9", "u10"]


@pytest.mark.parametrize(("given", "added"), [(0, 2), (99, 1), (100, 0)])
async def test_no_more_is_added_than_a_request_may_carry(given: int, added: int) -> None:
    table = Table(row(1, "u1", "a", 1.0), row(2, "u1", "b", 1.0))
    follower, _, _ = following(table)
    await follower.look()
    request = Request(user_id="u1")
    for number in range(given):
        request.recent_interactions.add(video_id=f"own{number}")

    found = completed(follower, request)

    assert found[:given] == [f"own{number}" for number in range(given)]
    assert found[given:] == ["a", "b"][2 - added :]


@pytest.mark.parametrize(("interaction_type", "rating"), [("LIKE", None), ("RATE", 8.0)])
async def test_a_scorer_is_told_all_of_an_interaction(interaction_type: str, rating: float | None) -> None:
    follower, _, _ = following(Table(FollowedEvent(1, "u1", "a", interaction_type, 1.5, 7.25, rating)))
    await follower.look()
    request = Request(user_id="u1")

    follower.complete(request)

    told = request.recent_interactions[0]
    assert (told.user_id, told.video_id, told.watch_time_s) == ("u1", "a", 1.5)
    assert pb.InteractionType.Name(told.interaction_type) == interaction_type
    assert (told.rating if told.HasField("rating") else None) == rating
    assert (told.timestamp.seconds, told.timestamp.nanos) == (7, 250_000_000)


def async_(ask: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    async def asked() -> bool:
        return ask()

    return asked


async def test_a_database_that_is_down_is_asked_again() -> None:
    table = Table(row(1, "u1", "a", 1.0))
    follower, _, recorder = following(table)
    table.down = True
    follower.start()
    await until(async_(lambda: len(recorder.list_failures) >= 2), expected=True)
    assert follower.age_s() == float("inf")
    table.down = False
    await until(async_(lambda: follower.age_s() < float("inf")), expected=True)
    await follower.stop()

    assert {failure.name for failure in recorder.list_failures} == {"recent"}
    assert completed(follower, Request(user_id="u1")) == ["a"]


async def test_somebody_else_is_told_of_each_interaction_once() -> None:
    class Watching:
        def __init__(self) -> None:
            self.rows: list[FollowedEvent] = []

        def followed(self, row: FollowedEvent) -> None:
            self.rows.append(row)

    table, watching = Table(row(1, "u1", "a")), Watching()
    follower = RecentFollower(table, SMALL, FakeClock(), Recorder(), watching)
    for _ in range(2):
        await follower.look()
    table.rows.append(row(2, "u2", "b"))
    await follower.look()
    assert watching.rows == table.rows


async def test_nothing_is_remembered_where_nothing_may_be() -> None:
    table = Table(row(1, "u1", "a"))
    follower, _, _ = following(table, RecentPolicy(events=0))
    await follower.look()
    table.rows.append(row(2, "u1", "b"))
    await follower.look()
    assert (completed(follower, Request(user_id="u1")), follower.count) == ([], 0)
