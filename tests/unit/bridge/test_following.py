"""Rows of a table that grows, each handed on once, in whatever order their numbers appear."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.overlap import Overlap
from bridge.fakes import FakeClock, Recorder
from bridge.following import Follower, FollowPolicy

OVERLAP_S = 1.0


class Numbered(NamedTuple):
    row: int


class Table:
    """The port `RowReader`; it says which rows it was asked for and gave."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = set(numbers)
        self.read: list[int] = []

    async def newest_row(self) -> int:
        return max(self.numbers, default=0)

    async def rows_after(self, row: int) -> Sequence[Numbered]:
        return self._given(number for number in sorted(self.numbers) if number > row)

    async def rows_of(self, numbers: Sequence[int]) -> Sequence[Numbered]:
        return self._given(number for number in sorted(self.numbers) if number in set(numbers))

    def _given(self, numbers: Iterable[int]) -> Sequence[Numbered]:
        found = list(numbers)[:250]
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
