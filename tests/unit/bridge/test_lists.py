"""Fallback lists live on: fresh when they can be read, the last good ones when not (R11)."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest

from bridge.adapters.lists_file import FileLists, load_video_ids
from bridge.domain.corrections import NO_CORRECTIONS, Correction, CorrectionKind, Corrections
from bridge.domain.exploration import NO_NEWCOMERS, NewcomerList, Newcomers
from bridge.domain.filters import Conditions, VideoFacts
from bridge.domain.ladder import RungName, Skip, Skipped
from bridge.domain.lists import EVERYBODY, EditorialList, RefreshPolicy, TrendingLists, Viewer
from bridge.domain.outcome import FallbackReason
from bridge.domain.trending import Trend
from bridge.fakes import FakeClock, Recorder, ScriptedLists, StoppedClock
from bridge.lists import EDITORIAL, NEWCOMERS, TRENDING, ListKeeper
from bridge.personal import PersonalRung
from bridge.ports import ListError
from bridge.telemetry import ListFailed, ListTrouble
from tests.polling import until

FACTS = {"a": VideoFacts("ann", frozenset({"cats"}), "en", 10.5, None)}
TRENDS = TrendingLists(1_700_000_900.0, {EVERYBODY: Trend(("a",), (2.0,))}, FACTS)
CHOSEN = EditorialList(("e",), {})
NEW = NewcomerList(("n", "a"), FACTS)
TRENDING_FILE = f"{TRENDING}.json"


class Keeping:
    """A keeper that is started and stopped once."""

    def __init__(self, folder: Path, reader: ScriptedLists, *, newcomers: bool = False) -> None:
        self.recorder = Recorder()
        self.clock = StoppedClock()
        policy = RefreshPolicy(5.0, 60.0, newcomers=newcomers)
        self.keeper = ListKeeper(reader, FileLists(folder), policy, self.clock, self.recorder)

    async def __aenter__(self) -> Self:
        await self.keeper.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.keeper.stop()

    def serves(self) -> list[list[str]]:
        return [list(rung.video_ids) for rung in self.keeper.rungs("")]

    def new(self, lot: float = 0.0, corrections: Corrections = NO_CORRECTIONS) -> Newcomers:
        return self.keeper.newcomers(lot, corrections)


async def test_a_restart_with_everything_down_serves_what_was_served_before(tmp_path: Path) -> None:
    async with Keeping(tmp_path, ScriptedLists(TRENDS, CHOSEN)) as first:
        assert first.serves() == [["a"], ["e"]]
    async with Keeping(tmp_path, ScriptedLists()) as second:
        assert second.serves() == [["a"], ["e"]]
        assert second.keeper.rungs("")[0].facts == FACTS
        assert not second.keeper.empty
        assert second.keeper.trending_age_s() == pytest.approx(100.0)
        assert second.recorder.list_failures == [
            ListFailed("trending", ListTrouble.NOT_REFRESHED),
            ListFailed("editorial", ListTrouble.NOT_REFRESHED),
        ]


async def test_a_first_start_with_everything_down_has_nothing_and_says_so(tmp_path: Path) -> None:
    async with Keeping(tmp_path, ScriptedLists()) as keeping:
        assert keeping.keeper.empty
        assert keeping.keeper.trending_age_s() == float("inf")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\x00\xff", b"[]", b'{"refreshed_time": "soon"}', b'{"refreshed_time": 1, "trends": {"global": 3}}'],
)
async def test_a_damaged_trending_file_leaves_the_editorial_list(tmp_path: Path, content: bytes) -> None:
    async with Keeping(tmp_path, ScriptedLists(TRENDS, CHOSEN)):
        pass
    (tmp_path / TRENDING_FILE).write_bytes(content)
    async with Keeping(tmp_path, ScriptedLists()) as keeping:
        assert keeping.serves() == [[], ["e"]]
        assert keeping.recorder.list_failures[0] == ListFailed("trending", ListTrouble.UNREADABLE)


async def test_a_damaged_file_is_mended_by_the_next_refresh(tmp_path: Path) -> None:
    (tmp_path / TRENDING_FILE).write_bytes(b"{")
    async with Keeping(tmp_path, ScriptedLists(TRENDS, CHOSEN)) as keeping:
        assert keeping.serves() == [["a"], ["e"]]
    assert await FileLists(tmp_path).load(TRENDING, TrendingLists) == TRENDS


async def test_lists_that_cannot_be_read_any_more_stay(tmp_path: Path) -> None:
    reader = ScriptedLists(TRENDS, CHOSEN)
    async with Keeping(tmp_path, reader) as keeping:
        reader.trending_lists, reader.editorial_list = None, None
        await keeping.keeper.refresh()
        assert keeping.serves() == [["a"], ["e"]]


async def test_an_emptied_catalogue_does_not_empty_the_editorial_list(tmp_path: Path) -> None:
    reader = ScriptedLists(TRENDS, CHOSEN)
    async with Keeping(tmp_path, reader) as keeping:
        reader.trending_lists, reader.editorial_list = TrendingLists(1.0, {}, {}), EditorialList((), {})
        await keeping.keeper.refresh()
        assert keeping.serves() == [[], ["e"]]


async def test_a_folder_that_cannot_be_written_is_told_and_the_lists_serve(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    async with Keeping(in_the_way, ScriptedLists(TRENDS, CHOSEN)) as keeping:
        assert keeping.serves() == [["a"], ["e"]]
        assert ListFailed("trending", ListTrouble.UNWRITABLE) in keeping.recorder.list_failures


async def test_an_old_file_serves_and_says_how_old_it_is(tmp_path: Path) -> None:
    """R11: the age is that of the reading, however often the bridge is started."""
    await FileLists(tmp_path).save(TRENDING, replace(TRENDS, refreshed_time=1_690_000_000.0))
    async with Keeping(tmp_path, ScriptedLists()) as keeping:
        assert keeping.serves() == [["a"], []]
        assert keeping.keeper.trending_age_s() == pytest.approx(10_001_000.0)


async def test_the_editorial_list_is_read_less_often_than_trending(tmp_path: Path) -> None:
    reader = ScriptedLists(TRENDS, CHOSEN)
    async with Keeping(tmp_path, reader) as keeping:
        reader.trending_lists = replace(TRENDS, trends={EVERYBODY: Trend(("b",), (1.0,))})
        reader.editorial_list = EditorialList(("f",), {})
        keeping.clock.now += 59.0
        await keeping.keeper.refresh()
        assert keeping.serves() == [["b"], ["e"]]
        keeping.clock.now += 1.0
        await keeping.keeper.refresh()
        assert keeping.serves() == [["b"], ["f"]]


async def test_an_editorial_list_that_could_not_be_read_is_tried_again_each_time(tmp_path: Path) -> None:
    reader = ScriptedLists(TRENDS, None)
    async with Keeping(tmp_path, reader) as keeping:
        reader.editorial_list = CHOSEN
        await keeping.keeper.refresh()
        assert keeping.serves() == [["a"], ["e"]]


class HungLists(ScriptedLists):
    """A database that takes connections and says nothing."""

    async def trending(self, now: float) -> TrendingLists:
        del now
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_database_that_hangs_does_not_hold_up_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.lists._FIRST_REFRESH_S", 0.01)
    async with Keeping(tmp_path, ScriptedLists(TRENDS, CHOSEN)):
        pass
    async with asyncio.timeout(5), Keeping(tmp_path, HungLists()) as keeping:
        assert keeping.serves() == [["a"], ["e"]]


class BrokenLists(ScriptedLists):
    """A reader with a bug."""

    async def trending(self, now: float) -> TrendingLists:
        raise ZeroDivisionError(now)


async def test_a_bug_in_reading_fails_neither_the_start_nor_the_lists(tmp_path: Path) -> None:
    async with Keeping(tmp_path, ScriptedLists(TRENDS, CHOSEN)):
        pass
    async with Keeping(tmp_path, BrokenLists()) as keeping:
        assert keeping.serves() == [["a"], ["e"]]


async def test_fresh_lists_come_by_themselves(tmp_path: Path) -> None:
    reader = ScriptedLists(TRENDS, CHOSEN)
    keeper = ListKeeper(reader, FileLists(tmp_path), RefreshPolicy(0.001, 0.001), FakeClock(), Recorder())
    await keeper.start()
    reader.editorial_list = EditorialList(("new",), {})

    async def served() -> list[str]:
        return list(keeper.rungs("")[-1].video_ids)

    await until(served, ["new"])
    await keeper.stop()


async def test_new_videos_outlive_a_restart_with_everything_down(tmp_path: Path) -> None:
    async with Keeping(tmp_path, ScriptedLists(TRENDS, CHOSEN, NEW), newcomers=True) as first:
        assert first.new() == Newcomers(("n", "a"), FACTS)
    async with Keeping(tmp_path, ScriptedLists(), newcomers=True) as second:
        assert second.new() == Newcomers(("n", "a"), FACTS)
        assert ListFailed("newcomers", ListTrouble.NOT_REFRESHED) in second.recorder.list_failures


async def test_where_nothing_is_explored_new_videos_are_neither_read_nor_kept(tmp_path: Path) -> None:
    async with Keeping(tmp_path, ScriptedLists(TRENDS, CHOSEN, NEW)) as keeping:
        assert keeping.new() is NO_NEWCOMERS
    assert await FileLists(tmp_path).load(NEWCOMERS, NewcomerList) is None


async def test_new_videos_are_read_as_seldom_as_the_editorial_list_even_when_that_fails(tmp_path: Path) -> None:
    reader = ScriptedLists(TRENDS, CHOSEN)
    async with Keeping(tmp_path, reader, newcomers=True) as keeping:
        reader.newcomer_list = NEW
        keeping.clock.now += 59.0
        await keeping.keeper.refresh()
        assert keeping.new() is NO_NEWCOMERS
        keeping.clock.now += 1.0
        await keeping.keeper.refresh()
        assert keeping.new().video_ids == ("n", "a")


async def test_when_there_are_no_new_videos_any_more_none_are_shown(tmp_path: Path) -> None:
    reader = ScriptedLists(TRENDS, CHOSEN, NEW)
    async with Keeping(tmp_path, reader, newcomers=True) as keeping:
        reader.newcomer_list = NewcomerList((), {})
        keeping.clock.now += 60.0
        await keeping.keeper.refresh()
        assert keeping.new() is NO_NEWCOMERS


async def test_each_group_of_new_videos_is_drawn_by_its_lots(tmp_path: Path) -> None:
    many = NewcomerList(tuple(f"n{number}" for number in range(250)), {})
    async with Keeping(tmp_path, ScriptedLists(TRENDS, CHOSEN, many), newcomers=True) as keeping:
        drawn = [keeping.new(lot).video_ids for lot in (0.0, 0.33, 0.34, 0.66, 0.67, 0.999)]
    assert drawn[0] == drawn[1] != drawn[2] == drawn[3] != drawn[4] == drawn[5]
    assert {each for group in drawn for each in group} == set(many.video_ids)


async def test_new_videos_that_editors_block_are_left_out_until_the_block_ends(tmp_path: Path) -> None:
    block = Corrections((Correction(CorrectionKind.BLOCK, video_id="n"),))
    async with Keeping(tmp_path, ScriptedLists(TRENDS, CHOSEN, NEW), newcomers=True) as keeping:
        assert keeping.new(corrections=block).video_ids == ("a",)
        assert keeping.new().video_ids == ("n", "a")


async def test_a_damaged_file_of_new_videos_costs_nothing_else(tmp_path: Path) -> None:
    async with Keeping(tmp_path, ScriptedLists(TRENDS, CHOSEN, NEW), newcomers=True):
        pass
    (tmp_path / f"{NEWCOMERS}.json").write_bytes(b"{")
    async with Keeping(tmp_path, ScriptedLists(), newcomers=True) as keeping:
        assert keeping.serves() == [["a"], ["e"]]
        assert keeping.new() is NO_NEWCOMERS
        assert keeping.recorder.list_failures[0] == ListFailed("newcomers", ListTrouble.UNREADABLE)


async def test_a_file_is_replaced_whole_and_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "deep"
    for content in (CHOSEN, EditorialList(("f",), {})):
        await FileLists(folder).save(EDITORIAL, content)
    assert await FileLists(folder).load(EDITORIAL, EditorialList) == EditorialList(("f",), {})
    assert [each.name for each in folder.iterdir()] == ["editorial.json"]


async def test_a_file_with_any_byte_changed_is_refused(tmp_path: Path) -> None:
    """R11: a flipped bit in a number or a name would still be JSON."""
    store = FileLists(tmp_path)
    await store.save(TRENDING, TRENDS)
    path = tmp_path / TRENDING_FILE
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ListError):
            await store.load(TRENDING, TrendingLists)


def test_an_operators_list_is_read_in_order_and_once_each(tmp_path: Path) -> None:
    path = tmp_path / "chosen.json"
    path.write_text('["b", "a", "b"]')
    assert load_video_ids(path) == ("b", "a")


@pytest.mark.parametrize("content", ['{"a": 1}', "[1]", '["a\\nb"]', '[""]', "["], ids=repr)
def test_an_operators_list_of_something_else_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "chosen.json"
    path.write_text(content)
    with pytest.raises(ListError):
        load_video_ids(path)


class CountedOwnList(PersonalRung):
    """Nobody has a list; counts who asks."""

    def __init__(self) -> None:
        self.asked = 0

    async def step(self, *_: object, **__: object) -> Skipped:
        self.asked += 1
        return Skipped(RungName.PRECOMPUTED, Skip.NONE)

    async def stop(self) -> None:
        pass


@pytest.mark.parametrize(("reason", "asked"), [(FallbackReason.NONE, 0), (FallbackReason.DEADLINE, 1)])
async def test_where_no_model_is_wanted_nobodys_own_list_is_read(
    tmp_path: Path, reason: FallbackReason, asked: int
) -> None:
    async with Keeping(tmp_path, ScriptedLists(TRENDS, CHOSEN)) as keeping:
        keeping.keeper._personal = own = CountedOwnList()
        steps = await keeping.keeper.ladder(Viewer("u1"), Conditions(), NO_CORRECTIONS, reason, 1.0)
    assert own.asked == asked
    assert [step.name for step in steps if isinstance(step, Skipped)][:1] == [RungName.PRECOMPUTED] * asked
