"""Opening ahead: the next context is entered while one is in use, and none stays open."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from trainer.adapters.ahead import opened_ahead

LONG_ENOUGH_S = 30


class Doors:
    """Contexts by name that remember which of them are open."""

    def __init__(self) -> None:
        self.open: set[str] = set()
        self.most = 0
        self.entered = {name: threading.Event() for name in "abc"}

    @contextmanager
    def door(self, name: str) -> Iterator[str]:
        if name not in self.entered:
            raise KeyError(name)
        self.open.add(name)
        self.most = max(self.most, len(self.open))
        self.entered[name].set()
        try:
            yield name
        finally:
            self.open.remove(name)


def test_the_next_one_is_entered_while_one_is_in_use() -> None:
    doors = Doors()
    with closing(opened_ahead(doors.door(name) for name in "abc")) as opened:
        for name, following in zip(opened, ("b", "c", None), strict=True):
            assert name in doors.open
            assert following is None or doors.entered[following].wait(LONG_ENOUGH_S)
    assert (doors.open, doors.most) == (set(), 2)


def test_nothing_stays_open_when_its_user_fails() -> None:
    doors = Doors()

    def use() -> None:
        with closing(opened_ahead(doors.door(name) for name in "abc")) as opened:
            next(opened)
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        use()
    assert doors.open == set()


def test_one_that_cannot_be_entered_says_so_in_its_turn_and_leaves_nothing_open() -> None:
    doors, given = Doors(), []
    with pytest.raises(KeyError, match="wrong"):
        given += list(opened_ahead(doors.door(name) for name in ("wrong", "b")))
    assert (given, doors.open) == ([], set())


def test_nothing_is_nothing() -> None:
    assert list(opened_ahead(())) == []
