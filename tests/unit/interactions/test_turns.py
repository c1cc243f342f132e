"""Long work lets others have their turn."""

import asyncio

from interactions.sink.turns import in_turns


async def test_others_have_their_turn_after_each_part() -> None:
    told: list[object] = []
    tell = told.append

    async def work() -> None:
        async for part in in_turns(range(1_200)):
            tell((part[0], part[-1]))

    async def other() -> None:
        tell("another")

    await asyncio.gather(work(), other())

    assert told == [(0, 499), "another", (500, 999), (1000, 1199)]


async def test_of_nothing_there_are_no_parts() -> None:
    assert [part async for part in in_turns(range(0))] == []
