"""Spans of a request, kept in memory until it has ended and it is known whether anybody will want them.

Spans of OpenTelemetry's SDK are made only of those that are kept (docs/decisions/0058). Nothing here imports it.
"""

import random
import re
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar, Token
from enum import Enum
from typing import Final, NamedTuple, Protocol, TypeAlias

from runtime.traces.policy import Allowance, Ended, KeepPolicy, Kept, drawn, keeps

# gRPC metadata key, HTTP header and header of records in the log (W3C Trace Context).
TRACEPARENT: Final = "traceparent"

# A request that makes more is a fault; its further ones are not worth memory.
MAX_SPANS: Final = 64

# Traces that this process keeps beside those that it would draw itself: each costs 0.3 ms, so 3 % of a core.
MAX_UNDRAWN_PER_S: Final = 100

_SAMPLED: Final = 1
_HEADER: Final = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")

Value: TypeAlias = str | int | float | bool


class Kind(Enum):
    """What a span is to the one on the other side, in OpenTelemetry's words."""

    INTERNAL = "INTERNAL"
    SERVER = "SERVER"
    CLIENT = "CLIENT"
    PRODUCER = "PRODUCER"
    CONSUMER = "CONSUMER"


class SpanContext(NamedTuple):
    """A span as other processes know it.

    Args:
        trace_id: 128 bits, not 0.
        span_id: 64 bits, not 0.
        sampled: Whether everybody is to keep the trace.
    """

    trace_id: int
    span_id: int
    sampled: bool

    @property
    def header(self) -> str:
        """The value of `traceparent`."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{int(self.sampled):02x}"


def parse(header: str) -> SpanContext | None:
    """Returns what a `traceparent` says; None: nothing that could be used."""
    found = _HEADER.fullmatch(header)
    if found is None:
        return None
    trace_id, span_id, flags = (int(part, 16) for part in found.groups())
    return SpanContext(trace_id, span_id, bool(flags & _SAMPLED)) if trace_id and span_id else None


class Span:
    """Something that took time. End each one; the one that was begun first ends last.

    Args:
        trace: The spans that it belongs to.
        name: What was done.
        kind: What it is to the other side.
        parent: The span within which it was done; None: none.
        start_s: When it began, in seconds of `time.perf_counter`.
    """

    __slots__ = ("attributes", "context", "end_s", "failed", "kind", "links", "name", "parent", "start_s", "trace")

    def __init__(self, trace: "LocalTrace", name: str, kind: Kind, parent: SpanContext | None, start_s: float) -> None:
        self.trace = trace
        self.name = name
        self.kind = kind
        self.parent = parent
        self.context = SpanContext(trace.trace_id, random.getrandbits(64) or 1, trace.sampled)
        self.start_s = start_s
        self.end_s = start_s
        self.attributes: dict[str, Value] = {}
        self.links: list[SpanContext] = []
        self.failed = ""

    def child(self, name: str, kind: Kind = Kind.INTERNAL, start_s: float | None = None) -> "Span":
        """Begins a span within this one."""
        return Span(self.trace, name, kind, self.context, time.perf_counter() if start_s is None else start_s)

    def fail(self, why: str) -> None:
        """Says that it failed; `why` is a code or a class, never a text from outside."""
        self.failed = why

    def end(self, end_s: float | None = None) -> None:
        """Ends it."""
        self.end_s = time.perf_counter() if end_s is None else end_s
        self.trace.ended(self)


class LocalTrace:
    """The spans that this process makes of one request, until the first of them ends.

    Args:
        trace_id: Of the whole trace.
        sampled: Whether it was drawn.
        settle: Told once the request has ended; returns whether its spans are kept.
        export: Takes spans that are kept.
    """

    __slots__ = ("_ended", "_export", "_kept", "_settle", "anchor_ns", "degraded", "root", "sampled", "trace_id")

    def __init__(
        self,
        trace_id: int,
        *,
        sampled: bool,
        settle: Callable[["LocalTrace"], bool],
        export: Callable[[Sequence[Span]], None],
    ) -> None:
        self.trace_id = trace_id
        self.sampled = sampled
        self.degraded = False
        # Added to a time of `perf_counter`, in ns, it makes Unix time.
        self.anchor_ns = time.time_ns() - time.perf_counter_ns()
        self.root: Span | None = None
        self._settle = settle
        self._export = export
        self._ended: list[Span] = []
        self._kept: bool | None = None

    @property
    def wanted(self) -> bool:
        """Whether it is known already that it is kept."""
        return self.sampled or self.degraded

    def ended(self, span: Span) -> None:
        """Takes an ended span."""
        if self._kept is not None:  # such as a call that others still wait for
            if self._kept:
                self._export((span,))
            return
        if len(self._ended) < MAX_SPANS or span is self.root:
            self._ended.append(span)
        if span is self.root:
            spans, self._ended = self._ended, []
            self._kept = self._settle(self)
            if self._kept:
                self._export(spans)


class TraceTelemetry(Protocol):
    """Takes what becomes of traces; must not raise."""

    def kept(self, why: Kept) -> None:
        """Takes one that is kept."""

    def held_back(self) -> None:
        """Takes one that would have been kept, had there not been too many."""


class Traces:
    """Begins traces and says which are kept.

    Args:
        policy: Which are.
        export: Takes the spans of those that are; must be quick and must not raise.
        telemetry: Told of each.
    """

    def __init__(self, policy: KeepPolicy, export: Callable[[Sequence[Span]], None], telemetry: TraceTelemetry) -> None:
        self._policy = policy
        self._export = export
        self._telemetry = telemetry
        self._allowance = Allowance(MAX_UNDRAWN_PER_S)

    def begin(self, name: str, kind: Kind, header: str = "", start_s: float | None = None) -> Span:
        """Begins the spans of a request; those of the caller's trace, if it names one."""
        return self.follow(name, kind, parse(header) if header else None, start_s)

    def follow(self, name: str, kind: Kind, parent: SpanContext | None, start_s: float | None = None) -> Span:
        """Begins spans within one of another process; None: a new trace."""
        if parent is None:
            trace_id = random.getrandbits(128) or 1
            sampled = drawn(trace_id, self._policy.ratio)
        else:
            trace_id, sampled = parent.trace_id, parent.sampled
        trace = LocalTrace(trace_id, sampled=sampled, settle=self._settle, export=self._export)
        trace.root = Span(trace, name, kind, parent, time.perf_counter() if start_s is None else start_s)
        return trace.root

    def _settle(self, trace: LocalTrace) -> bool:
        root = trace.root
        if root is None:
            return False
        ended = Ended(trace.sampled, trace.degraded, bool(root.failed), root.end_s - root.start_s)
        why = keeps(ended, self._policy)
        if why is None:
            return False
        # Callers may say of every trace that it is drawn.
        if not drawn(trace.trace_id, self._policy.ratio) and not self._allowance.take(root.end_s):
            self._telemetry.held_back()
            return False
        self._telemetry.kept(why)
        return True


_CURRENT: ContextVar[Span | None] = ContextVar("span", default=None)


class Active:
    """Makes a span the current one: `with Active(span): ...`."""

    __slots__ = ("_span", "_token")

    def __init__(self, span: Span) -> None:
        self._span = span

    def __enter__(self) -> Span:
        """Makes it current."""
        self._token: Token[Span | None] = _CURRENT.set(self._span)
        return self._span

    def __exit__(self, _type: object = None, error: BaseException | None = None, _trace: object = None) -> None:
        """Makes the one before current again."""
        _CURRENT.reset(self._token)


class Around(Active):
    """Makes a span the current one, and ends it; one that an error ends has failed."""

    __slots__ = ()

    def __exit__(self, _type: object = None, error: BaseException | None = None, _trace: object = None) -> None:
        """Makes the one before current again."""
        super().__exit__()
        if error is not None and not self._span.failed:
            self._span.fail(type(error).__name__)
        self._span.end()


def current() -> Span | None:
    """Returns the span that is being worked in; None: none, or there are no traces."""
    return _CURRENT.get()


def outgoing() -> tuple[tuple[str, str], ...]:
    """Returns the metadata that names the current span to another process."""
    span = _CURRENT.get()
    return ((TRACEPARENT, span.context.header),) if span is not None else ()
