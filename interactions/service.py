"""Takes interactions in: checked, given an id, encoded, published, and acknowledged once they are durable."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from eventlog.ports import (
    Durability,
    Headers,
    LogFullError,
    NotAcknowledgedError,
    Outcome,
    Publisher,
    Record,
    RecordTooLargeError,
)
from eventlog.topics import INTERACTIONS
from feed.interactions.v1 import interactions_pb2 as pb
from interactions.domain import log_record
from interactions.domain.event import BrokenRule, Refusal
from interactions.domain.log_record import LogRecord
from interactions.domain.quick_check import Window
from interactions.domain.recent_ids import RecentIds
from interactions.domain.result import EventResult, Status, StreamTotals
from interactions.flight import Flight, Sender
from interactions.messages import read
from interactions.system import System
from interactions.telemetry import EventsRecorded, Telemetry
from runtime.consent import Consents, EverybodyAgrees
from runtime.contract import CONTRACT_KEY, CONTRACT_RELEASE
from runtime.errors import RequestError, ResourceExhaustedError, UnavailableError

# Events of one stream that wait for their acknowledgement; more would only fill the log's queue.
MAX_IN_FLIGHT: Final = 256
# Ids whose copies are answered without publishing them again: 25 s at 2,000 events a second, at most 30 MB.
MAX_RECENT: Final = 100_000
MAX_RECENT_AGE_S: Final = 600.0

_RETRY_AFTER_S: Final = 1.0
_HEADERS: Final[Headers] = ((CONTRACT_KEY, CONTRACT_RELEASE.encode()), ("content-type", b"application/json"))

# What a door made of the bytes it was sent: a message to check, or a refusal when they are not even that.
Incoming: TypeAlias = pb.Interaction | Refusal


@dataclass(frozen=True, slots=True)
class Recorded:
    """The answer to one call.

    Args:
        results: One an event, in order.
        durability: The weakest place an accepted event is in; None when none was accepted, or none is kept.
    """

    results: Sequence[EventResult]
    durability: Durability | None


@dataclass(frozen=True, slots=True)
class RecordedStream:
    """The answer to a stream; as Recorded, in sums."""

    totals: StreamTotals
    durability: Durability | None


class _Call:
    """The events of one call: what each is told when all goes well, and the flight that it is on."""

    __slots__ = ("flights", "own", "results", "withheld")

    def __init__(self, sender: Sender) -> None:
        self.own = Flight(sender)
        self.results: list[EventResult] = []
        self.flights: list[Flight | None] = []
        self.withheld = 0

    def add(self, result: EventResult, flight: Flight | None) -> None:
        """Adds an event; one that is refused, or of a user who is not known, is on no flight."""
        self.results.append(result)
        self.flights.append(flight)

    async def landed(self) -> list[Flight]:
        """Waits for all flights, and returns them."""
        flights = [flight for flight in set(self.flights) if flight is not None]
        for flight in flights:
            await flight.landed()
        return flights

    def outcomes(self) -> list[Outcome | None]:
        """Returns what became of each event; None: it was refused before."""
        pairs = zip(self.results, self.flights, strict=True)
        return [None if flight is None else flight.outcome(result.event_id.lower()) for result, flight in pairs]


class Recorder:
    """Records interactions.

    Args:
        publisher: Where they become durable.
        telemetry: Told of every call.
        system: The clocks, and new ids.
        consents: Knows who wants to be known; None: everybody does.
    """

    def __init__(
        self, publisher: Publisher, telemetry: Telemetry, system: System, consents: Consents | None = None
    ) -> None:
        self._publisher = publisher
        self._telemetry = telemetry
        self._system = system
        self._consents = EverybodyAgrees() if consents is None else consents
        self._recent: RecentIds[Flight] = RecentIds(MAX_RECENT, MAX_RECENT_AGE_S)
        self._taken_over: set[asyncio.Task[None]] = set()

    async def record(self, events: Iterable[Incoming], traceparent: str = "", sender: Sender | None = None) -> Recorded:
        """Records some events; a bad one is rejected alone, a copy of a recent one is not published again.

        Args:
            events: The events.
            traceparent: W3C trace context of the caller; empty: none.
            sender: The stream that they are of; None: the call is one by itself.

        Raises:
            UnavailableError: An event could not be made durable; all are to be sent again, with the same ids.
            ResourceExhaustedError: The same, because the log is full.
        """
        start_s = self._system.monotonic()
        call = _Call(sender or Sender())
        try:
            self._take_in(events, call, _headers(traceparent), start_s)
        except BaseException:
            self._forget(call.own.event_ids)  # else copies would wait for a flight that never takes off
            raise
        if call.own.records:
            await self._publish(call.own)
        durabilities: set[Outcome | None] = {flight.durability for flight in await call.landed()}
        failure = None
        if None in durabilities:
            outcomes = call.outcomes()
            failure = _failure(outcomes)
            call.results = _taken_back(call, outcomes, failed=failure is not None)
            durabilities = set(outcomes)
        durability = None if failure else _weakest(durabilities)
        elapsed_s = self._system.monotonic() - start_s
        self._telemetry.events_recorded(EventsRecorded(call.results, durability, elapsed_s, call.withheld))
        if failure:
            raise failure
        return Recorded(call.results, durability)

    async def record_stream(self, events: AsyncIterator[Incoming], traceparent: str = "") -> RecordedStream:
        """Records events as they come; raises as `record`, and then all of the stream is to be sent again."""
        sender, totals = Sender(), StreamTotals()
        durabilities: set[Outcome | None] = set()
        running: deque[asyncio.Task[Recorded]] = deque()

        async def finish_oldest() -> None:
            recorded = await running.popleft()
            totals.add(recorded.results)
            durabilities.add(recorded.durability)

        try:
            async for event in events:
                running.append(asyncio.create_task(self.record((event,), traceparent, sender)))
                while running and (running[0].done() or len(running) >= MAX_IN_FLIGHT):
                    await finish_oldest()
            while running:
                await finish_oldest()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        return RecordedStream(totals, _weakest(durabilities))

    async def close(self) -> None:
        """Waits for what was taken over from callers who gave up."""
        await asyncio.gather(*self._taken_over, return_exceptions=True)

    def _take_in(self, events: Iterable[Incoming], call: _Call, headers: Headers, now_s: float) -> None:
        """Checks the events, gives each an id, and puts those that are new on the call's own flight."""
        window = Window.at(self._system.now())
        recent, own = self._recent, call.own
        for event in events:
            record = event if isinstance(event, Refusal) else read(event, window)
            if isinstance(record, Refusal):
                call.add(EventResult(record.event_id, Status.REJECTED, record.interaction_type, record.broken), None)
                continue
            given, status = record.event_id, Status.ACCEPTED
            event_id = given.lower() or self._system.new_id()
            if not self._consents.personalised(record.user_id):
                call.add(EventResult(given or event_id, status, record.interaction_type), None)
                call.withheld += 1
                continue
            flight = recent.get(event_id)
            if flight is None:
                flight = own
                recent.put(event_id, own, now_s)
                own.board(event_id, _encoded(record, event_id, headers))
            elif own.sender.repeats(event_id, flight, now_s):
                status = Status.DUPLICATE
            call.add(EventResult(given or event_id, status, record.interaction_type), flight)

    async def _publish(self, flight: Flight) -> None:
        """Brings the events of a flight into the log, even when the caller gives up.

        What he began cannot be asked for its end any more, so it is published again, for those who wait with him and
        for himself when he comes again. A second copy does no harm, and there is no third.
        """
        try:
            await self._land(flight)
        except asyncio.CancelledError:
            task = asyncio.create_task(self._land(flight))
            self._taken_over.add(task)
            task.add_done_callback(self._taken_over.discard)
            raise

    async def _land(self, flight: Flight) -> None:
        """Publishes the events of a flight, and forgets those that are not in the log then."""
        try:
            outcomes = await self._publisher.publish_many(flight.records)
        except Exception:
            self._forget(flight.land([NotAcknowledgedError("the publisher failed") for _ in flight.records]))
            raise
        self._forget(flight.land(outcomes))

    def _forget(self, event_ids: Iterable[str]) -> None:
        """Makes the next copies new ones."""
        for event_id in event_ids:
            self._recent.forget(event_id)


def _headers(traceparent: str) -> Headers:
    return (*_HEADERS, ("traceparent", traceparent.encode())) if traceparent else _HEADERS


def _encoded(record: LogRecord, event_id: str, headers: Headers) -> Record:
    return Record(INTERACTIONS, record.user_id, log_record.write(record, event_id), headers)


def _taken_back(call: _Call, outcomes: Sequence[Outcome | None], *, failed: bool) -> list[EventResult]:
    """Returns the results when not all went well: of an event too large, and of all when the call has failed."""
    results = []
    for result, outcome in zip(call.results, outcomes, strict=True):
        if isinstance(outcome, RecordTooLargeError):
            broken = (BrokenRule("interaction", str(outcome)),)
            results.append(EventResult(result.event_id, Status.REJECTED, result.interaction_type, broken))
        elif failed and outcome is not None:
            results.append(EventResult(result.event_id, Status.FAILED, result.interaction_type))
        else:
            results.append(result)
    return results


def _failure(outcomes: Iterable[Outcome | None]) -> RequestError | None:
    """Returns the error of the whole call, when an event that could have been kept was not acknowledged."""
    for outcome in outcomes:
        if outcome is None or isinstance(outcome, Durability | RecordTooLargeError):
            continue
        if isinstance(outcome, LogFullError):
            message = "too many events are waiting; nothing was acknowledged: send them again with the same eventId"
            return ResourceExhaustedError("LOG_FULL", message, retry_after_s=outcome.retry_after_s)
        message = (
            "the events could not be made durable; nothing was acknowledged: send them again with the same eventId"
        )
        return UnavailableError("NOT_ACKNOWLEDGED", message, retry_after_s=_RETRY_AFTER_S)
    return None


def _weakest(outcomes: Container[Outcome | None]) -> Durability | None:
    return next((place for place in (Durability.JOURNAL, Durability.KAFKA) if place in outcomes), None)
