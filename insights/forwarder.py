"""Tells product analytics what was served and consumed, behind everything else."""

import asyncio
from typing import Final, Protocol

import structlog

from insights.domain.analytics import EventName
from insights.ports import Analytics, AnalyticsError, AnalyticsLog, LedgerUnavailableError

_LOG = structlog.get_logger(__name__)

# When nothing came.
_POLL_S: Final = 1.0
# When something is away: at first, and at most.
_RETRY_S: Final = 5.0
_LONGEST_RETRY_S: Final = 300.0


class ForwardTelemetry(Protocol):
    """Takes what happens; must not raise."""

    def forwarded(self, name: EventName, count: int) -> None:
        """Takes how many events were taken."""

    def forwarding_failed(self) -> None:
        """Takes that one attempt failed."""


class Forwarder:
    """Forwards until it is stopped; no error ends it. Each event at least once, always under the same id.

    Args:
        log: What is to be told.
        analytics: Whom it is told.
        telemetry: Told of every batch.
    """

    def __init__(self, log: AnalyticsLog, analytics: Analytics, telemetry: ForwardTelemetry) -> None:
        self._log = log
        self._analytics = analytics
        self._telemetry = telemetry

    async def run(self) -> None:
        """Runs until it is cancelled."""
        retry_s = _RETRY_S
        while True:
            try:
                busy = await self.round()
            except (AnalyticsError, LedgerUnavailableError) as error:
                self._telemetry.forwarding_failed()
                _LOG.warning("insights.not_forwarded", error=str(error), again_in_s=retry_s)
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, _LONGEST_RETRY_S)
            except Exception:  # noqa: BLE001  # whatever it is, the next round may do better
                self._telemetry.forwarding_failed()
                _LOG.exception("insights.forwarder_failed")
                await asyncio.sleep(_LONGEST_RETRY_S)
            else:
                retry_s = _RETRY_S
                if not busy:
                    await asyncio.sleep(_POLL_S)

    async def round(self) -> bool:
        """Tells what there is, a batch of each event; says whether there may be more.

        Raises:
            AnalyticsError: Nothing is lost: it is told again.
            LedgerUnavailableError: The same.
        """
        told = [await self._tell(name) for name in EventName]
        return any(told)

    async def _tell(self, name: EventName) -> bool:
        untold = await self._log.untold(name)
        if untold is None:
            return False
        if untold.events:
            await asyncio.to_thread(self._analytics.send, untold.events)
            self._telemetry.forwarded(name, len(untold.events))
        await self._log.told(name, untold.until)
        return True
