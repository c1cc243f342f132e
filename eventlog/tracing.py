"""Traces across the log: which span a record comes from travels in its header `traceparent`."""

from collections.abc import Sequence

from eventlog.ports import Durability, Headers, Outcome, Publisher, Record
from runtime.traces.tracing import TRACEPARENT, Around, Kind, SpanContext, current, parse


def with_trace(headers: Headers) -> Headers:
    """Returns the headers of a record that the current request makes: with its span, if its trace is kept."""
    span = current()
    if span is None or not span.trace.wanted:
        return headers
    context = span.context._replace(sampled=True)
    return (*(each for each in headers if each[0] != TRACEPARENT), (TRACEPARENT, context.header.encode()))


def trace_of(headers: Headers) -> SpanContext | None:
    """Returns the span that a record comes from; None: it names none that could be used."""
    given = next((value for name, value in headers if name == TRACEPARENT), None)
    return parse(given.decode("ascii", "replace")) if given else None


class TracedPublisher:
    """The port `Publisher` with a span of each call, within the current one.

    Args:
        inner: Publishes.
    """

    def __init__(self, inner: Publisher) -> None:
        self._inner = inner

    async def start(self) -> None:
        """Opens the log."""
        await self._inner.start()

    async def publish_many(self, records: Sequence[Record]) -> list[Outcome]:
        """Publishes as the inner one, the records with the span's context where the trace is kept."""
        around = current()
        if around is None or not records:
            return await self._inner.publish_many(records)
        topic = records[0].topic
        span = around.child(f"send {topic}", Kind.PRODUCER)
        span.attributes.update(
            {
                "messaging.system": "feed.eventlog",
                "messaging.operation.type": "send",
                "messaging.destination.name": topic,
                "messaging.batch.message_count": len(records),
            }
        )
        with Around(span):
            if span.trace.wanted:
                records = [record._replace(headers=with_trace(record.headers)) for record in records]
            outcomes = await self._inner.publish_many(records)
            span.attributes["feed.durability"] = _places(outcomes)
            refused = next((each for each in outcomes if not isinstance(each, Durability)), None)
            if refused is not None:
                span.fail(type(refused).__name__)
        return outcomes

    def not_ready(self) -> str | None:
        """As the inner one."""
        return self._inner.not_ready()

    async def close(self) -> None:
        """Closes the log."""
        await self._inner.close()


def _places(outcomes: Sequence[Outcome]) -> str:
    return ",".join(sorted({each for each in outcomes if isinstance(each, Durability)}))
