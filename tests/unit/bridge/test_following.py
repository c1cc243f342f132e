"""Rows of a table that grows, each handed on once, in whatever order their numbers appear."""

from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.overlap import Overlap
from bridge.fakes import FakeClock, Recorder
from bridge.following import Follower, FollowPolicy

OVERLAP_S = 1.0


class Numbered(NamedTuple):
    row: int


class Table:
    """The port `RowReader`; it says which rows it was asked for and gave. `grows`: by a row at each read."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = set(numbers)
        self.grows = False
        self.read: list[int] = []

    async def newest_row(self) -> int:
        return max(self.numbers, default=0)

    async def rows_after(self, row: int, limit: int) -> Sequence[Numbered]:
        given = self._given(sorted(number for number in self.numbers if number > row)[:limit])
        if self.grows:
            self.numbers.add(max(self.numbers) + 1)
        return given

    async def rows_of(self, numbers: Sequence[int]) -> Sequence[Numbered]:
        return self._given(sorted(self.numbers & set(numbers)))

    def _given(self, found: Sequence[int]) -> Sequence[Numbered]:
        self.read += found
        return [Numbered(number) for number in found]


class Following:
    """A follower at work on a table."""

    def __init__(self, *numbers: int) -> None:
        self.table = Table(*numbers)
        self.taken: list[int] = []
        self.clock = FakeClock()
        policy = FollowPolicy(overlap_s=OVERLAP_S)
        self._follower = Follower(
            "rows", self.table, policy, lambda each: self.taken.append(each.row), self.clock, Recorder()
        )

    async def look(self, *appeared: int, after_s: float = 0.4) -> list[int]:
        """Returns what is handed on of what has appeared meanwhile."""
        self.table.numbers.update(appeared)
        self.clock.now += after_s
        self.taken.clear()
        await self._follower.look()
        return list(self.taken)


async def test_each_row_is_read_once() -> None:
    following = Following(1, 2)
    assert await following.look() == [1, 2]
    assert await following.look(3, 4) == [3, 4]
    assert await following.look() == []
    assert following.table.read == [1, 2, 3, 4]


async def test_a_long_backlog_is_read_with_little_pauses() -> None:
    """Requests come between, but the start does not take for ever."""
    following = Following(*range(1, 600))
    start = following.clock.now
    assert await following.look(after_s=0.0) == [*range(1, 600)]
    assert following.clock.now - start == pytest.approx(2 * FollowPolicy().pause_s)


async def test_where_rows_come_without_end_a_look_ends_all_the_same() -> None:
    following = Following(*range(1, 600))
    following.table.grows = True
    assert await following.look() == [*range(1, 602)]
    assert await following.look() == [602]


async def test_a_number_that_appears_late_is_handed_on_once() -> None:
    following = Following(1)
    await following.look()
    assert await following.look(2, 4) == [2, 4]
    assert await following.look(3) == [3]
    assert await following.look(5) == [5]
    assert following.table.read == [1, 2, 4, 3, 5]


async def test_a_number_is_not_waited_for_for_ever() -> None:
    following = Following(1)
    await following.look()
    await following.look(3)
    await following.look(after_s=OVERLAP_S + 0.1)
    assert await following.look(2) == []


async def test_thousands_of_numbers_may_appear_late() -> None:
    following = Following(1)
    await following.look()
    assert await following.look(5_000) == [5_000]
    assert await following.look(*range(2, 5_000)) == [*range(2, 5_000)]
    assert await following.look(5_001) == [5_001]


async def test_a_gap_of_before_the_start_costs_nothing_for_long() -> None:
    following = Following(10, 10_000_000)
    assert await following.look() == [10_000_000]
    await following.look(after_s=OVERLAP_S + 0.1)
    following.table.read.clear()
    assert (await following.look(10_000_001), following.table.read) == ([10_000_001], [10_000_001])


@given(st.permutations(range(1, 40)), st.integers(1, 7))
def test_every_row_is_new_once_in_any_order(order: Sequence[int], at_once: int) -> None:
    overlap = Overlap(newest=0, overlap_s=OVERLAP_S)
    found: list[int] = []
    for start in range(0, len(order), at_once):
        there = set(order[: start + at_once])
        asked = {*(overlap.missing() or ()), *(row for row in there if row > overlap.newest)}
        found += [row for row in sorted(asked & there) if overlap.is_new(row)]
        overlap.looked(0.0)
    assert sorted(found) == list(range(1, 40))
