"""Whoever is away is told later, each run once, on both databases."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from runtime.lock_file import AlreadyRunningError, exclusive
from storage.trainings import TrainingEnd, TrainingStart, TrainingStatus
from trainer.adapters.database_sqlalchemy import TrainingDatabase
from trainer.status.ports import DestinationError, RememberingDestination, StatusDestination
from trainer.status.telling import Telling

TWO = datetime(2026, 1, 1, 2, tzinfo=UTC)
BOTH = ("mlflow", "snowflake")


class Rig:
    """An outbox with two destinations and a clock."""

    def __init__(self, url: str, folder: Path) -> None:
        self.now = TWO
        self.database = TrainingDatabase(url)
        self.places = {name: RememberingDestination() for name in BOTH}
        self.telling = self.to({name: partial(self.places.__getitem__, name) for name in BOTH}, folder)

    def to(self, destinations: dict[str, Callable[[], StatusDestination]], folder: Path) -> Telling:
        return Telling(self.database, destinations, folder / "telling.lock", lambda: self.now)

    def run(self, version: str, status: TrainingStatus = TrainingStatus.SUCCEEDED) -> None:
        self.database.register(TrainingStart(version, "als", {}, {}, self.now, "job"))
        self.database.finish(version, TrainingEnd(status, self.now), BOTH)

    def known(self, name: str) -> list[str]:
        return sorted(self.places[name].told)


@pytest.fixture
def rig(database_url: str, tmp_path: Path):
    rig = Rig(database_url, tmp_path)
    yield rig
    rig.database.close()


def test_everybody_is_told_once(rig: Rig) -> None:
    rig.run("m1")
    rig.run("m2", TrainingStatus.REFUSED)
    assert rig.telling.is_due()
    assert rig.telling.tell()
    assert [rig.known(name) for name in BOTH] == [["m1", "m2"]] * 2
    assert rig.places["snowflake"].told["m2"].status is TrainingStatus.REFUSED
    assert not rig.telling.is_due()
    assert rig.telling.tell()
    assert rig.places["snowflake"].calls == 2


def test_who_is_away_is_left_alone_for_longer_and_longer_and_then_told(rig: Rig) -> None:
    rig.places["snowflake"].away = None
    rig.run("m1")
    assert not rig.telling.tell()
    assert rig.known("mlflow") == ["m1"]
    asked = []
    for _ in range(8):
        rig.now += timedelta(seconds=31)
        asked.append(rig.telling.is_due())
        rig.telling.tell()
    assert asked == [False, True, False, False, False, True, False, False]
    assert rig.places["snowflake"].calls == 3
    rig.places["snowflake"].away = ()
    rig.now += timedelta(hours=1)
    assert rig.telling.tell()
    assert rig.known("snowflake") == ["m1"]
    assert rig.places["mlflow"].calls == 1


def test_the_next_run_tries_again_at_once_and_brings_all_that_waited(rig: Rig) -> None:
    rig.places["snowflake"].away = None
    rig.run("m1")
    rig.telling.tell()
    rig.places["snowflake"].away = ()
    rig.run("m2")
    assert rig.telling.tell()
    assert rig.known("snowflake") == ["m1", "m2"]


def test_a_run_that_a_destination_never_takes_does_not_hold_up_the_others(rig: Rig) -> None:
    rig.places["snowflake"].away = ("m1",)
    rig.run("m1")
    rig.telling.tell()
    rig.run("m2")
    rig.telling.tell()
    assert rig.known("snowflake") == ["m2"]


def test_a_destination_that_cannot_be_opened_says_why(rig: Rig, tmp_path: Path) -> None:
    def missing() -> StatusDestination:
        raise DestinationError("install the extra snowflake")

    rig.run("m1")
    telling = rig.to({"snowflake": missing}, tmp_path)
    assert not telling.tell()
    assert not telling.is_due()
    assert [item.attempts for item in rig.database.untold("snowflake")] == [1]


def test_two_never_tell_at_once(rig: Rig, tmp_path: Path) -> None:
    rig.run("m1")
    with exclusive(tmp_path / "telling.lock", "telling"), pytest.raises(AlreadyRunningError):
        rig.telling.tell()
    assert rig.places["mlflow"].calls == 0
