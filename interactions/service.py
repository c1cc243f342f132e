"""Takes interactions in: checked, given an id, published, and acknowledged once they are durable."""

import asyncio
import dataclasses
import uuid
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from eventlog.ports import Durability, Headers, LogFullError, Outcome, Publisher, Record, RecordTooLargeError
from eventlog.topics import INTERACTIONS
from interactions.domain import log_record
from interactions.domain.event import BrokenRule, Candidate, InteractionEvent, Refusal
from interactions.domain.recent_ids import RecentIds
from interactions.domain.result import EventResult, Status, StreamTotals
from interactions.domain.rules import broken_rules
from interactions.system import System
from interactions.telemetry import EventsRecorded, Telemetry
from runtime.contract import CONTRACT_KEY, CONTRACT_RELEASE
from runtime.errors import RequestError, ResourceExhaustedError, UnavailableError

# Events of one stream that wait for their acknowledgement; more would only fill the log's queue.
MAX_IN_FLIGHT: Final = 256
_RETRY_AFTER_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Recorded:
    """The answer to one call.

    Args:
        results: One an event, in order.
        durability: The weakest place an accepted event is in; None when none was accepted.
    """

    results: tuple[EventResult, ...]
    durability: Durability | None


@dataclass(frozen=True, slots=True)
class RecordedStream:
    """The answer to a stream; as Recorded, in sums."""

    totals: StreamTotals
    durability: Durability | None


class Recorder:
    """Records interactions.

    Args:
        publisher: Where they become durable.
        telemetry: Told of every call.
        system: The clocks.
    """

    def __init__(self, publisher: Publisher, telemetry: Telemetry, system: System) -> None:
        self._publisher = publisher
        self._telemetry = telemetry
        self._system = system

    async def record(
        self, candidates: Sequence[Candidate], traceparent: str = "", known: RecentIds | None = None
    ) -> Recorded:
        """Records some events; a bad one is rejected alone.

        Args:
            candidates: The events.
            traceparent: W3C trace context of the caller; empty: none.
            known: Ids already taken in the same stream; None: none.

        Raises:
            UnavailableError: An event could not be made durable; all are to be sent again, with the same ids.
            ResourceExhaustedError: The same, because the log is full.
        """
        start_s = self._system.monotonic()
        known = RecentIds() if known is None else known
        checked = self._checked(candidates)
        fresh = [each for each in checked if isinstance(each, InteractionEvent) and known.add(each.key)]
        outcomes = await self._publisher.publish_many([_record(event, traceparent) for event in fresh])
        by_key = {event.key: outcome for event, outcome in zip(fresh, outcomes, strict=True)}
        failure = _failure(outcomes)
        results = _results(checked, by_key, failed=failure is not None)
        for key, outcome in by_key.items():
            if not isinstance(outcome, Durability):
                known.discard(key)
        durability = None if failure else _weakest(outcomes)
        self._telemetry.events_recorded(EventsRecorded(results, durability, self._system.monotonic() - start_s))
        if failure:
            raise failure
        return Recorded(results, durability)

    async def record_stream(self, candidates: AsyncIterator[Candidate], traceparent: str = "") -> RecordedStream:
        """Records events as they come; raises as `record`, and then all of the stream is to be sent again."""
        known, totals = RecentIds(), StreamTotals()
        durabilities: list[Outcome] = []
        running: deque[asyncio.Task[Recorded]] = deque()

        async def finish_oldest() -> None:
            recorded = await running.popleft()
            totals.add(recorded.results)
            if recorded.durability and recorded.durability not in durabilities:
                durabilities.append(recorded.durability)

        try:
            async for candidate in candidates:
                running.append(asyncio.create_task(self.record([candidate], traceparent, known)))
                if len(running) >= MAX_IN_FLIGHT:
                    await finish_oldest()
            while running:
                await finish_oldest()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        return RecordedStream(totals, _weakest(durabilities))

    def _checked(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        now = self._system.now()
        return [each if isinstance(each, Refusal) else _by_rules(each, now) for each in candidates]


def _by_rules(event: InteractionEvent, now: datetime) -> Candidate:
    broken = broken_rules(event, now)
    if broken:
        return Refusal(event.event_id, broken, event.interaction_type)
    return event if event.event_id else dataclasses.replace(event, event_id=str(uuid.uuid4()))


def _record(event: InteractionEvent, traceparent: str) -> Record:
    headers: Headers = ((CONTRACT_KEY, CONTRACT_RELEASE.encode()), ("content-type", b"application/json"))
    if traceparent:
        headers = (*headers, ("traceparent", traceparent.encode()))
    return Record(INTERACTIONS, event.user_id, log_record.encode(event), headers)


def _results(checked: Sequence[Candidate], outcomes: dict[str, Outcome], *, failed: bool) -> tuple[EventResult, ...]:
    """Returns a result an event: the first of an id has its outcome, later ones are its duplicates."""
    told: set[str] = set()
    results = []
    for each in checked:
        if isinstance(each, Refusal):
            results.append(EventResult(each.event_id, Status.REJECTED, each.interaction_type, each.broken))
            continue
        status, broken = _status(outcomes.get(each.key), failed=failed)
        if status is Status.ACCEPTED and each.key in told:
            status = Status.DUPLICATE
        told.add(each.key)
        results.append(EventResult(each.event_id, status, each.interaction_type, broken))
    return tuple(results)


def _status(outcome: Outcome | None, *, failed: bool) -> tuple[Status, tuple[BrokenRule, ...]]:
    if isinstance(outcome, RecordTooLargeError):
        return Status.REJECTED, (BrokenRule("interaction", str(outcome)),)
    if failed:
        return Status.FAILED, ()
    return (Status.DUPLICATE if outcome is None else Status.ACCEPTED), ()


def _failure(outcomes: Sequence[Outcome]) -> RequestError | None:
    """Returns the error of the whole call, when an event that could have been kept was not acknowledged."""
    for outcome in outcomes:
        if isinstance(outcome, Durability | RecordTooLargeError):
            continue
        if isinstance(outcome, LogFullError):
            message = "too many events are waiting; nothing was acknowledged: send them again with the same eventId"
            return ResourceExhaustedError("LOG_FULL", message, retry_after_s=outcome.retry_after_s)
        message = (
            "the events could not be made durable; nothing was acknowledged: send them again with the same eventId"
        )
        return UnavailableError("NOT_ACKNOWLEDGED", message, retry_after_s=_RETRY_AFTER_S)
    return None


def _weakest(outcomes: Sequence[Outcome]) -> Durability | None:
    return next((place for place in (Durability.JOURNAL, Durability.KAFKA) if place in outcomes), None)
