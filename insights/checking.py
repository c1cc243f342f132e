"""Looks at every event of what was served and consumed, whoever else is told of it."""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from insights.domain.analytics import AnalyticsEvent, EventName
from insights.domain.quality import Problem, problems_of
from runtime.throttle import Throttle

_LOG = structlog.get_logger(__name__)


class QualityTelemetry(Protocol):
    """Takes what is wrong; must not raise."""

    def problem_found(self, name: EventName, field: str) -> None:
        """Takes the field of an event that is not as it must be."""


class QualityCheck:
    """The port `Analytics` for nobody: it only looks at the events.

    Args:
        telemetry: Told of each problem.
        monotonic: Seconds that never jump.
    """

    def __init__(self, telemetry: QualityTelemetry, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._telemetry = telemetry
        self._monotonic = monotonic
        self._throttle: Throttle[Problem] = Throttle()

    def send(self, events: Sequence[AnalyticsEvent]) -> None:
        """Looks at events; the log has at most one line a second for each field."""
        for event in events:
            for problem in problems_of(event):
                self._telemetry.problem_found(event.name, problem.field)
                self._log(event, problem)

    def _log(self, event: AnalyticsEvent, problem: Problem) -> None:
        suppressed = self._throttle.admit(f"{event.name}.{problem.field}", problem, self._monotonic())
        if suppressed is not None:
            found = {"field": problem.field, "problem": problem.text, "suppressed": suppressed}
            _LOG.error("insights.event_wrong", told=event.name.value, message_id=event.message_id, **found)
