"""The operators' switch: what is set for whom, and that the breakers follow it."""

from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
import structlog

from bridge.domain.breaker import Breaker, BreakerPolicy, MemoryState, Mode, State
from bridge.domain.switch import Switch
from bridge.fakes import FakeClock
from bridge.ports import SwitchError, SwitchVersion
from bridge.switch import SwitchWatch

AUTO, OPEN, CLOSED = Mode.AUTO, Mode.OPEN, Mode.CLOSED


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        pytest.param([(OPEN, None)], Switch(OPEN), id="all"),
        pytest.param([(OPEN, "a:1")], Switch(AUTO, {"a:1": OPEN}), id="one"),
        pytest.param([(OPEN, "a:1"), (CLOSED, "b:1")], Switch(AUTO, {"a:1": OPEN, "b:1": CLOSED}), id="two"),
        pytest.param([(OPEN, "a:1"), (AUTO, "a:1")], Switch(), id="one-and-back"),
        pytest.param([(OPEN, "a:1"), (CLOSED, None)], Switch(CLOSED), id="all-means-all"),
        pytest.param([(OPEN, None), (AUTO, "a:1")], Switch(OPEN, {"a:1": AUTO}), id="all-but-one"),
        pytest.param([(OPEN, None), (AUTO, None)], Switch(), id="all-and-back"),
    ],
)
def test_what_turning_it_sets(turns: list[tuple[Mode, str | None]], expected: Switch) -> None:
    switch = Switch()
    for mode, target in turns:
        switch = switch.turned(mode, target)
    assert switch == expected


def test_a_scorers_own_setting_goes_before_that_of_all() -> None:
    switch = Switch(OPEN, {"a:1": CLOSED})
    assert [switch.mode(target) for target in ("a:1", "b:1")] == [CLOSED, OPEN]


class Store:
    """The port `SwitchStore` in memory; a test can break it."""

    def __init__(self) -> None:
        self.switch: Switch | SwitchError = Switch()
        self.changes = 0
        self.reads = 0

    def version(self) -> SwitchVersion:
        return (self.changes,) if self.changes else None

    def read(self) -> Switch:
        self.reads += 1
        if isinstance(self.switch, SwitchError):
            raise self.switch
        return self.switch

    def write(self, switch: Switch) -> None:
        self.set(switch)

    def set(self, switch: Switch | SwitchError) -> None:
        self.switch = switch
        self.changes += 1


class Watched:
    """Two breakers that follow a switch."""

    def __init__(self) -> None:
        self.store = Store()
        self.breakers = {target: Breaker(BreakerPolicy(), MemoryState()) for target in ("a:1", "b:1")}
        self.watch = SwitchWatch(self.store, self.breakers, FakeClock())

    async def after(self, switch: Switch | SwitchError) -> list[Mode]:
        self.store.set(switch)
        await self.watch.look()
        return [breaker.mode for breaker in self.breakers.values()]


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    with structlog.testing.capture_logs() as entries:
        yield entries


async def test_breakers_follow_it() -> None:
    watched = Watched()
    assert await watched.after(Switch(OPEN)) == [OPEN, OPEN]
    assert await watched.after(Switch(OPEN, {"b:1": CLOSED})) == [OPEN, CLOSED]
    assert await watched.after(Switch()) == [AUTO, AUTO]
    assert [breaker.state for breaker in watched.breakers.values()] == [State.HALF_OPEN, State.CLOSED]


async def test_what_was_set_before_holds_from_the_start() -> None:
    """It holds over restarts: the first request finds the breaker held."""
    watched = Watched()
    watched.store.set(Switch(OPEN))
    await watched.watch.start()
    assert watched.breakers["a:1"].acquire(0.0, 0.5) is None
    await watched.watch.stop()


async def test_one_that_cannot_be_read_changes_nothing_and_is_logged_once(
    logs: list[MutableMapping[str, Any]],
) -> None:
    watched = Watched()
    await watched.after(Switch(OPEN))
    assert await watched.after(SwitchError("torn")) == [OPEN, OPEN]
    await watched.watch.look()
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["bridge.switch_unreadable"]
    assert await watched.after(Switch()) == [AUTO, AUTO]


async def test_each_change_is_logged_with_its_target(logs: list[MutableMapping[str, Any]]) -> None:
    watched = Watched()
    await watched.after(Switch(AUTO, {"a:1": OPEN}))
    await watched.watch.look()
    assert logs == [
        {"event": "bridge.breaker_forced", "log_level": "warning", "target": "a:1", "mode": "open", "before": "auto"}
    ]


async def test_what_has_not_changed_is_not_read_again() -> None:
    watched = Watched()
    await watched.after(Switch(OPEN))
    for _ in range(5):
        await watched.watch.look()
    assert watched.store.reads == 1
