"""Every store of fallback lists gives back what was saved last, or says that it cannot."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridge.adapters.lists_file import FileLists
from bridge.domain.filters import VideoFacts
from bridge.domain.lists import EVERYBODY, EditorialList, TrendingLists
from bridge.domain.trending import Trend
from bridge.fakes import MemoryLists
from bridge.ports import ListError, ListStore

FACTS = {"a": VideoFacts("ann", frozenset({"cats", "fun"}), "en", 10.5, None)}
TRENDS = TrendingLists(1_700_000_000.25, {EVERYBODY: Trend(("a",), (2.0,)), "GB": Trend((), ())}, FACTS)


@dataclass
class Kept:
    """A store, and how to break it."""

    store: ListStore
    damage: Callable[[], None]


@pytest.fixture(params=["memory", "files"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    if request.param == "memory":
        memory = MemoryLists()
        return Kept(memory, lambda: setattr(memory, "broken", True))

    def damage() -> None:
        for file in (tmp_path / "lists").glob("*"):
            file.unlink()
        (tmp_path / "lists").rmdir()
        (tmp_path / "lists").touch()  # a file where the folder should be

    (tmp_path / "lists").mkdir()
    return Kept(FileLists(tmp_path / "lists"), damage)


async def test_nothing_was_saved_yet(kept: Kept) -> None:
    assert await kept.store.load("trending", TrendingLists) is None


async def test_a_list_comes_back_as_it_was(kept: Kept) -> None:
    await kept.store.save("trending", TRENDS)
    await kept.store.save("editorial", EditorialList(("x",), {}))
    assert await kept.store.load("trending", TrendingLists) == TRENDS


async def test_the_last_one_counts(kept: Kept) -> None:
    for video_id in ("x", "y"):
        await kept.store.save("editorial", EditorialList((video_id,), FACTS))
    assert await kept.store.load("editorial", EditorialList) == EditorialList(("y",), FACTS)


async def test_another_kind_of_list_is_an_error(kept: Kept) -> None:
    await kept.store.save("trending", EditorialList(("x",), {}))
    with pytest.raises(ListError):
        await kept.store.load("trending", TrendingLists)


async def test_a_broken_store_says_so(kept: Kept) -> None:
    kept.damage()
    with pytest.raises(ListError):
        await kept.store.load("trending", TrendingLists)
    with pytest.raises(ListError):
        await kept.store.save("trending", TRENDS)
