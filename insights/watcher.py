"""Asks the processes for their metrics, again and again, so that a page need not wait for any of them."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from insights.domain.scrapes import Samples, Window
from insights.domain.wellness import Process
from insights.ports import Exposition, ExpositionError

_LOG = structlog.get_logger(__name__)

_EVERY_S: Final = 5.0
# What is kept spans a minute.
_KEPT: Final = 13


class Watcher:
    """Asks until it is stopped; no error ends it.

    Args:
        exposition: Reads the metrics of a process.
        watched: Whom to ask: name and URL.
    """

    def __init__(self, exposition: Exposition, watched: Sequence[tuple[str, str]]) -> None:
        self._exposition = exposition
        self._watched = watched
        self._scrapes: Mapping[str, deque[Samples]] = {url: deque(maxlen=_KEPT) for _, url in watched}
        self._has_looked = False

    def processes(self) -> Sequence[Process] | None:
        """Returns what was told over the last minute; None: nobody was asked yet."""
        if not self._has_looked:
            return None
        return [Process(name, url, self._window(url)) for name, url in self._watched]

    async def run(self) -> None:
        """Runs until it is cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_EVERY_S)

    async def look(self) -> None:
        """Asks each process once, all at the same time."""
        await asyncio.gather(*(self._ask(url) for url in self._scrapes))
        self._has_looked = True

    async def _ask(self, url: str) -> None:
        kept = self._scrapes[url]
        try:
            kept.append(await self._exposition.read(url))
        except ExpositionError as error:
            self._lost(url, str(error))
        except Exception:  # noqa: BLE001  # whatever it tells, the others are asked
            _LOG.exception("insights.watcher_failed", url=url)
            kept.clear()

    def _lost(self, url: str, error: str) -> None:
        if self._scrapes[url]:
            _LOG.warning("insights.process_silent", url=url, error=error)
        self._scrapes[url].clear()

    def _window(self, url: str) -> Window | None:
        kept = self._scrapes[url]
        return Window([kept[0]], [kept[-1]]) if kept else None
