"""A log that could not be opened is tried again, instead of keeping the process from starting."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from eventlog.ports import EventLogError, NotAcknowledgedError, Outcome, Publisher, Record

_LOG = structlog.get_logger(__name__)

_RETRY_S: Final = 1.0


class ReopeningPublisher:
    """A publisher that opens as soon as that is possible; until then it acknowledges nothing.

    Args:
        make: Makes the one that does the work.
    """

    def __init__(self, make: Callable[[], Publisher]) -> None:
        self._make = make
        self._inner: Publisher | None = None
        self._problem = "not started"
        self._retrying: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Opens it, or goes on trying."""
        if not await self._open():
            self._retrying = asyncio.create_task(self._retry(), name="reopen")

    async def publish_many(self, records: Sequence[Record]) -> list[Outcome]:
        """Publishes, once it is open."""
        if self._inner is None:
            return [NotAcknowledgedError(self._problem)] * len(records)
        return await self._inner.publish_many(records)

    def not_ready(self) -> str | None:
        """Says why it is not open, or what the open one says."""
        return self._problem if self._inner is None else self._inner.not_ready()

    async def close(self) -> None:
        """Closes it, if it is open."""
        if self._retrying is not None:
            self._retrying.cancel()
        if self._inner is not None:
            await self._inner.close()

    async def _open(self) -> bool:
        inner = self._make()
        try:
            await inner.start()
        except EventLogError as error:
            self._problem = str(error)
            return False
        self._inner = inner
        return True

    async def _retry(self) -> None:
        _LOG.error("eventlog.journal_not_opened", error=self._problem)
        while not await self._open():  # noqa: ASYNC110  # a disk does not say that it is back
            await asyncio.sleep(_RETRY_S)
        _LOG.info("eventlog.journal_opened")
