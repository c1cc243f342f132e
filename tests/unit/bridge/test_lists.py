"""Fallback lists live on: fresh when they can be read, the last good ones when not (R11)."""

import asyncio
from pathlib import Path
from typing import Self

import pytest

from bridge.adapters.lists_file import ListFileError, load, load_video_ids, save
from bridge.domain.filters import VideoFacts
from bridge.domain.lists import EVERYBODY, EditorialList, TrendingLists
from bridge.domain.trending import Trend
from bridge.fakes import FakeClock, Recorder, ScriptedLists
from bridge.lists import EDITORIAL_FILE, TRENDING_FILE, ListKeeper
from bridge.telemetry import ListFailed, ListTrouble
from tests.polling import until

FACTS = {"a": VideoFacts("ann", frozenset({"cats"}), "en", 10.5, None)}
TRENDING = TrendingLists(1_700_000_900.0, {EVERYBODY: Trend(("a",), (2.0,))}, FACTS)
EDITORIAL = EditorialList(("e",), {})


class Keeping:
    """A keeper that is started and stopped once."""

    def __init__(self, folder: Path, reader: ScriptedLists) -> None:
        self.recorder = Recorder()
        self.clock = StoppedClock()
        self.keeper = ListKeeper(reader, folder, 5.0, self.clock, self.recorder)

    async def __aenter__(self) -> Self:
        await self.keeper.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.keeper.stop()

    def serves(self) -> list[list[str]]:
        return [list(rung.video_ids) for rung in self.keeper.rungs("")]


class StoppedClock(FakeClock):
    """A wait that never ends, so that only explicit refreshes happen."""

    async def sleep(self, seconds: float) -> None:
        del seconds
        await asyncio.Event().wait()


async def test_a_restart_with_everything_down_serves_what_was_served_before(tmp_path: Path) -> None:
    async with Keeping(tmp_path, ScriptedLists(TRENDING, EDITORIAL)) as first:
        assert first.serves() == [["a"], ["e"]]
    async with Keeping(tmp_path, ScriptedLists()) as second:
        assert second.serves() == [["a"], ["e"]]
        assert second.keeper.facts == FACTS
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
    async with Keeping(tmp_path, ScriptedLists(TRENDING, EDITORIAL)):
        pass
    (tmp_path / TRENDING_FILE).write_bytes(content)
    async with Keeping(tmp_path, ScriptedLists()) as keeping:
        assert keeping.serves() == [[], ["e"]]
        assert keeping.recorder.list_failures[0] == ListFailed("trending", ListTrouble.UNREADABLE)


async def test_a_damaged_file_is_mended_by_the_next_refresh(tmp_path: Path) -> None:
    (tmp_path / TRENDING_FILE).write_bytes(b"{")
    async with Keeping(tmp_path, ScriptedLists(TRENDING, EDITORIAL)) as keeping:
        assert keeping.serves() == [["a"], ["e"]]
    assert load(tmp_path / TRENDING_FILE, TrendingLists) == TRENDING


async def test_lists_that_cannot_be_read_any_more_stay(tmp_path: Path) -> None:
    reader = ScriptedLists(TRENDING, EDITORIAL)
    async with Keeping(tmp_path, reader) as keeping:
        reader.trending_lists, reader.editorial_list = None, None
        await keeping.keeper.refresh()
        assert keeping.serves() == [["a"], ["e"]]


async def test_an_emptied_catalogue_does_not_empty_the_editorial_list(tmp_path: Path) -> None:
    reader = ScriptedLists(TRENDING, EDITORIAL)
    async with Keeping(tmp_path, reader) as keeping:
        reader.trending_lists, reader.editorial_list = TrendingLists(1.0, {}, {}), EditorialList((), {})
        await keeping.keeper.refresh()
        assert keeping.serves() == [[], ["e"]]


async def test_a_folder_that_cannot_be_written_is_told_and_the_lists_serve(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    async with Keeping(in_the_way, ScriptedLists(TRENDING, EDITORIAL)) as keeping:
        assert keeping.serves() == [["a"], ["e"]]
        assert ListFailed("trending", ListTrouble.UNWRITABLE) in keeping.recorder.list_failures


async def test_fresh_lists_come_by_themselves(tmp_path: Path) -> None:
    reader = ScriptedLists(TRENDING, EDITORIAL)
    keeper = ListKeeper(reader, tmp_path, 0.001, FakeClock(), Recorder())
    await keeper.start()
    reader.editorial_list = EditorialList(("new",), {})

    async def served() -> list[str]:
        return list(keeper.rungs("")[-1].video_ids)

    await until(served, ["new"])
    await keeper.stop()


def test_a_file_is_replaced_whole_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "deep" / EDITORIAL_FILE
    save(path, EDITORIAL)
    save(path, EditorialList(("f",), {}))
    assert load(path, EditorialList) == EditorialList(("f",), {})
    assert [each.name for each in path.parent.iterdir()] == [EDITORIAL_FILE]


def test_an_operators_list_is_read_in_order_and_once_each(tmp_path: Path) -> None:
    path = tmp_path / "chosen.json"
    path.write_text('["b", "a", "b"]')
    assert load_video_ids(path) == ("b", "a")


@pytest.mark.parametrize("content", ['{"a": 1}', "[1]", '["a\\nb"]', '[""]', "["], ids=repr)
def test_an_operators_list_of_something_else_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "chosen.json"
    path.write_text(content)
    with pytest.raises(ListFileError):
        load_video_ids(path)
