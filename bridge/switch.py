"""Follows the operators' switch: holds breakers open or closed, and lets them go."""

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog

from bridge.domain.breaker import Breaker
from bridge.domain.switch import Switch
from bridge.ports import Clock, SwitchError, SwitchStore, SwitchVersion

_LOG = structlog.get_logger(__name__)

# An operator sees the effect at once; a look costs one stat.
LOOK_S: Final = 0.2


class SwitchWatch:
    """Looks at the switch and applies it when it has changed. One that cannot be read leaves all as it is.

    Args:
        store: The switch.
        breakers: The breakers, by target.
        clock: Time.
    """

    def __init__(self, store: SwitchStore, breakers: Mapping[str, Breaker], clock: Clock) -> None:
        self._store = store
        self._breakers = breakers
        self._clock = clock
        self._seen: SwitchVersion = None
        self._trouble = ""
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Applies what is set, so that the first request finds it, and goes on looking."""
        await self.look()
        self._task = asyncio.create_task(self._watch(), name="breaker-switch")

    async def stop(self) -> None:
        """Stops looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def look(self) -> None:
        """Looks once."""
        try:
            # In a thread: a disk that hangs must not hold up requests.
            switch = await asyncio.to_thread(self._changed)
        except SwitchError as error:
            if str(error) != self._trouble:
                _LOG.error("bridge.switch_unreadable", error=str(error))
            self._trouble = str(error)
            return
        self._trouble = ""
        if switch is not None:
            self._apply(switch)

    async def _watch(self) -> None:
        while True:
            await self._clock.sleep(LOOK_S)
            await self.look()

    def _changed(self) -> Switch | None:
        version = self._store.version()
        if version == self._seen:
            return None
        switch = self._store.read()
        self._seen = version
        return switch

    def _apply(self, switch: Switch) -> None:
        for target, breaker in self._breakers.items():
            mode = switch.mode(target)
            if mode is not breaker.mode:
                _LOG.warning("bridge.breaker_forced", target=target, mode=mode.value, before=breaker.mode.value)
                breaker.force(mode)
