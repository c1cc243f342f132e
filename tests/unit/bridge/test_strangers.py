"""What is known of users whom no model knows: read once, kept for a while, never waited for long."""

import asyncio
from collections.abc import Sequence

import pytest

from bridge.fakes import FakeClock, Recorder
from bridge.ports import ListError
from bridge.strangers import KeptStrangers, StrangersPolicy
from bridge.telemetry import ListTrouble

POLICY = StrangersPolicy(users=2, kept_s=60.0, wait_s=0.005, margin_s=0.005, reads=2)


class Users:
    """The port `UserReader`."""

    def __init__(self) -> None:
        self.reads: list[str] = []
        self.fails = False
        self.hangs = False

    async def words(self, user_id: str, locale: str, country: str) -> Sequence[str]:
        self.reads.append(user_id)
        if self.fails:
            raise ListError("away")
        if self.hangs:
            await asyncio.Event().wait()
        return [f"user={user_id}", f"locale={locale}", f"country={country}"]


class Met:
    """Strangers with everything that they need."""

    def __init__(self) -> None:
        self.users = Users()
        self.clock = FakeClock()
        self.recorder = Recorder()
        self.strangers = KeptStrangers(self.users, POLICY, self.clock, self.recorder)

    async def read(self, user_id: str, left_s: float = 0.1) -> Sequence[str]:
        return await self.strangers.read(user_id, "de-AT", "AT", left_s)


@pytest.fixture
def met() -> Met:
    return Met()


async def test_what_was_read_is_kept_for_a_while(met: Met) -> None:
    assert met.strangers.known("ann") is None
    words = await met.read("ann")
    assert words == ["user=ann", "locale=de-AT", "country=AT"]
    assert met.strangers.known("ann") == words
    met.clock.now += 61
    assert met.strangers.known("ann") is None


async def test_who_was_not_here_for_longest_is_forgotten(met: Met) -> None:
    await met.read("ann")
    await met.read("bob")
    met.strangers.known("ann")
    await met.read("cat")
    assert [user for user in ("ann", "bob", "cat") if met.strangers.known(user)] == ["ann", "cat"]


async def test_a_database_that_fails_costs_nothing_but_the_words(met: Met) -> None:
    met.users.fails = True
    assert list(await met.read("ann")) == []
    assert met.strangers.known("ann") is None
    assert [(failed.name, failed.trouble) for failed in met.recorder.list_failures] == [
        ("user_features", ListTrouble.UNREADABLE)
    ]
    assert list(await met.read("ann")) == []
    assert met.users.reads == ["ann"], "it is left alone for a while"


async def test_nobody_waits_for_a_database_that_hangs(met: Met) -> None:
    met.users.hangs = True
    assert list(await met.read("ann")) == []
    assert list(await met.read("bob", left_s=0.004)) == []
    await met.strangers.stop()
