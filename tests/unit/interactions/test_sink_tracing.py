"""Which records of a batch get spans, and when."""

import pytest

from eventlog.fake import MemoryLog, MemoryPublisher
from eventlog.ports import Durability, NotAcknowledgedError, Partition, Record
from eventlog.topics import INTERACTIONS
from eventlog.tracing import TracedPublisher, trace_of, with_trace
from interactions.sink.fake import MemoryStore
from interactions.sink.ports import StoredEvent, StoreUnavailableError
from interactions.sink.tracing import MAX_TRACED, TracedConsumer, TracedStore
from runtime.traces.policy import KeepPolicy
from runtime.traces.tracing import TRACEPARENT, Active, Kind, Traces
from tests.unit.runtime.test_tracing import HEADER, Told

UNDRAWN = f"{HEADER[:-1]}0"
AT = Partition(INTERACTIONS, 0)


class Rig:
    def __init__(self) -> None:
        self.log = MemoryLog()
        self.told = Told()
        self.traces = Traces(KeepPolicy(ratio=0.0), self.told.export, self.told)
        self.consumer = TracedConsumer(self.log.consumer(INTERACTIONS))
        self.memory: MemoryStore[StoredEvent] = MemoryStore()
        self.store = TracedStore(self.memory, self.consumer, self.traces, "sqlite")

    async def polled(self, *headers: str) -> int:
        for header in headers:
            named = ((TRACEPARENT, header.encode("latin-1")),) if header else ()
            self.log.append(Record(INTERACTIONS, "u1", b"{}", named))
        await self.consumer.start(self.store.load_offsets)
        return len(await self.consumer.poll(1_000, 0.1))

    @property
    def offsets(self) -> list[object]:
        return [span.attributes["messaging.kafka.offset"] for span in self.told.spans if span.kind is Kind.CONSUMER]


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_records_of_kept_traces_have_spans_once_they_are_written(rig: Rig):
    assert await rig.polled("", HEADER, UNDRAWN, "nonsense", "\xff", HEADER) == 6
    await rig.store.write([], {AT: 2})
    assert rig.offsets == [1]
    await rig.store.write([], {AT: 6})
    assert rig.offsets == [1, 5]
    await rig.store.write([], {AT: 6})
    assert rig.offsets == [1, 5]
    assert [span.name for span in rig.told.spans] == ["write", f"process {INTERACTIONS}"] * 2
    assert {span.context.trace_id for span in rig.told.spans} == {int(HEADER[3:35], 16)}


async def test_what_was_not_written_has_its_spans_later(rig: Rig):
    await rig.polled(HEADER)
    rig.memory.down = True
    with pytest.raises(StoreUnavailableError):
        await rig.store.write([], {AT: 1})
    assert rig.offsets == []
    rig.memory.down = False
    await rig.store.write([], {AT: 1})
    assert rig.offsets == [0]


async def test_a_batch_that_is_all_drawn_has_so_many(rig: Rig):
    await rig.polled(*[HEADER] * (MAX_TRACED + 50))
    await rig.store.write([], {AT: MAX_TRACED + 50})
    assert len(rig.offsets) == MAX_TRACED


@pytest.mark.parametrize("header", [HEADER, UNDRAWN])
async def test_a_published_record_names_the_span_that_sent_it(rig: Rig, header: str):
    """One whose trace is not kept goes on as its caller gave it."""
    publisher = TracedPublisher(MemoryPublisher(rig.log))
    given = (("content-type", b"application/json"), (TRACEPARENT, header.encode()))
    with Active(rig.traces.begin("call", Kind.SERVER, header)) as root:
        outcomes = await publisher.publish_many([Record(INTERACTIONS, "u1", b"{}", given)])
    root.end()
    assert outcomes == [Durability.JOURNAL]
    (record,) = rig.log.records(INTERACTIONS)
    sent = next((span.context for span in rig.told.spans if span.name == f"send {INTERACTIONS}"), trace_of(given))
    assert trace_of(record.headers) == sent
    assert len(record.headers) == 2


async def test_a_refused_record_fails_the_span(rig: Rig):
    inner = MemoryPublisher(rig.log)
    inner.failures.append(NotAcknowledgedError("told to"))
    with Active(rig.traces.begin("call", Kind.SERVER, HEADER)) as root:
        await TracedPublisher(inner).publish_many([Record(INTERACTIONS, "u1", b"{}")])
    root.end()
    assert [span.failed for span in rig.told.spans] == ["NotAcknowledgedError", ""]


def test_the_record_of_a_fallback_is_followed_though_its_trace_was_not_drawn(rig: Rig):
    with Active(rig.traces.begin("page", Kind.SERVER, UNDRAWN)) as root:
        assert with_trace(()) == ()
        root.trace.degraded = True
        assert trace_of(with_trace(())) == root.context._replace(sampled=True)
