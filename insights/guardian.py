"""Looks after running experiments: stops one that harms its users, and says when one has not the users it should."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import structlog

from insights.ports import Experiments, LedgerUnavailableError, RunningExperiment

_LOG = structlog.get_logger(__name__)

_EVERY_S: Final = 30.0


class GuardTelemetry(Protocol):
    """Takes what is found; must not raise."""

    def looked(self, running: int, mismatched: int) -> None:
        """Takes how many experiments are running, and how many of them have not the users they should."""

    def stopped(self, name: str, harms: Sequence[str]) -> None:
        """Takes that one was stopped, and why."""

    def mismatched(self, name: str, users: Mapping[str, int]) -> None:
        """Takes, once, that one has not the users it should: how many each variant has."""


class Guardian:
    """Looks at experiments until it is stopped; no error ends it.

    Args:
        experiments: Where they are.
        telemetry: Told of every look.
    """

    def __init__(self, experiments: Experiments, telemetry: GuardTelemetry) -> None:
        self._experiments = experiments
        self._telemetry = telemetry
        self._told: set[str] = set()

    async def run(self) -> None:
        """Runs until it is cancelled."""
        while True:
            try:
                await self.look()
            except LedgerUnavailableError as error:
                _LOG.warning("insights.experiments_unavailable", error=str(error))
            except Exception:  # noqa: BLE001  # whatever it is, the next look may do better
                _LOG.exception("insights.guardian_failed")
            await asyncio.sleep(_EVERY_S)

    async def look(self) -> None:
        """Looks at each running experiment once; raises LedgerUnavailableError."""
        running = await self._experiments.running()
        for each in running:
            harms = list(each.report.harms())
            if harms:
                await self._experiments.stop(each.name, "; ".join(harms))
                self._telemetry.stopped(each.name, harms)
                _LOG.error("insights.experiment_stopped", experiment=each.name, harms=harms)
        self._tell_mismatched(running)

    def _tell_mismatched(self, running: Sequence[RunningExperiment]) -> None:
        mismatched = {each.name: each.report for each in running if each.report.is_mismatched}
        for name in mismatched.keys() - self._told:
            users = {variant.name: variant.users for variant in mismatched[name].variants}
            self._telemetry.mismatched(name, users)
            _LOG.error("insights.experiment_mismatched", experiment=name, users=users)
        self._told = set(mismatched)
        self._telemetry.looked(len(running), len(mismatched))
