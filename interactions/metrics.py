"""Prometheus metrics of the ingest service."""

import re
from collections import Counter as Tally
from collections.abc import Mapping
from typing import Final, TypeAlias

from prometheus_client import CollectorRegistry, Counter, Histogram

from eventlog.ports import Durability
from feed.interactions.v1 import interactions_pb2 as pb
from interactions.domain.event import InteractionType
from interactions.domain.result import Status
from interactions.telemetry import EventsRecorded

# Dense around the 50 ms that P95 must stay under.
PUBLISH_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 5.0)

_UNKNOWN_TYPE = "UNKNOWN"
_Kind: TypeAlias = tuple[InteractionType | None, Status]

# What a rejection may be counted under: the fields of the contract, and the event as a whole.
_FIELDS: Final = frozenset({"interaction"} | {field.json_name for field in pb.Interaction.DESCRIPTOR.fields})
_OTHER_FIELD: Final = "other"
_NAME: Final = re.compile(r"\w*")


class InteractionsMetrics:
    """Counts what the ingest service tells.

    All series are made at once: an alert needs the zero before the first event, and looking labels up for each call
    costs more than counting.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        events = Counter(
            "feed_interactions_events", "Events by what became of them.", ("type", "status"), registry=registry
        )
        rejected = Counter(
            "feed_interactions_rejected",
            "Rejected events by the first field that was wrong.",
            ("field",),
            registry=registry,
        )
        publish = Histogram(
            "feed_interactions_publish_duration_seconds",
            "From the arrival of a call until its events are durable.",
            ("durability",),
            buckets=PUBLISH_BUCKETS_S,
            registry=registry,
        )
        self._withheld = Counter(
            "feed_interactions_dropped_no_consent",
            "Events that were accepted and dropped: their users do not want to be known.",
            registry=registry,
        )
        self._events = {
            (kind, status): events.labels(kind or _UNKNOWN_TYPE, status)
            for kind in (*InteractionType, None)
            for status in Status
        }
        self._rejected = {field: rejected.labels(field) for field in (*_FIELDS, _OTHER_FIELD)}
        self._publish_s = {place: publish.labels(place) for place in Durability}

    def events_recorded(self, record: EventsRecorded) -> None:
        """Counts the events of one call."""
        kinds = [(result.interaction_type, result.status) for result in record.results]
        for kind, count in _counted(kinds).items():
            self._events[kind].inc(count)
        if record.withheld:
            self._withheld.inc(record.withheld)
        for broken in [result.broken for result in record.results if result.broken]:
            self._rejected[_label(broken[0].field)].inc()
        if record.durability is not None:
            self._publish_s[record.durability].observe(record.elapsed_s)


def _counted(kinds: list[_Kind]) -> Mapping[_Kind, int]:
    """Counts equal ones; most calls have one kind only, and a Counter takes its time to be made."""
    first = kinds[:1]
    return {first[0]: len(kinds)} if first and kinds.count(first[0]) == len(kinds) else Tally(kinds)


def _label(field: str) -> str:
    """Returns `experiments` for `experiments[0].variant`: a label must come from a closed set."""
    name = _NAME.match(field)
    return name[0] if name and name[0] in _FIELDS else _OTHER_FIELD
