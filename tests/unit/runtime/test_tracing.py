"""Which traces are kept, and what is told of them."""

import asyncio
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from runtime.request_context import outgoing_metadata
from runtime.traces.policy import Allowance, Ended, KeepPolicy, Kept, drawn, keeps
from runtime.traces.tracing import (
    MAX_SPANS,
    MAX_UNDRAWN_PER_S,
    Active,
    Around,
    Kind,
    Span,
    SpanContext,
    Traces,
    current,
    parse,
)

HEADER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
POLICY = KeepPolicy(ratio=0.0, slow_s=0.1)
FINE = Ended(sampled=False, degraded=False, failed=False, elapsed_s=0.1)


class Told:
    """Takes what is exported and told."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.why: list[Kept] = []
        self.too_many = 0

    def export(self, spans: Sequence[Span]) -> None:
        self.spans += spans

    def kept(self, why: Kept) -> None:
        self.why.append(why)

    def held_back(self) -> None:
        self.too_many += 1

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.spans]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def traces(told: Told) -> Traces:
    return Traces(POLICY, told.export, told)


@pytest.mark.parametrize(
    ("ended", "why"),
    [
        pytest.param(FINE, None, id="an ordinary one"),
        pytest.param(replace(FINE, sampled=True), Kept.SAMPLED, id="drawn"),
        pytest.param(replace(FINE, degraded=True), Kept.DEGRADED, id="a fallback"),
        pytest.param(replace(FINE, failed=True), Kept.FAILED, id="failed"),
        pytest.param(replace(FINE, elapsed_s=0.1001), Kept.SLOW, id="slow"),
        pytest.param(Ended(True, True, True, 9.0), Kept.SAMPLED, id="all of it"),
    ],
)
def test_what_is_kept(ended: Ended, why: Kept | None):
    assert keeps(ended, POLICY) is why


@pytest.mark.parametrize(
    ("trace_id", "ratio", "expected"),
    [
        pytest.param(0, 0.0, False, id="none of none"),
        pytest.param(2**128 - 1, 1.0, True, id="all of all"),
        pytest.param(2**64 // 100 - 1, 0.01, True, id="just below"),
        pytest.param(2**64 // 100 + 9999, 0.01, False, id="just above"),
        pytest.param((7 << 64) + 5, 0.01, True, id="by the lower half only"),
    ],
)
def test_the_draw_is_that_of_every_opentelemetry_sdk(trace_id: int, ratio: float, expected: bool):
    """Source: TraceIdRatioBased; the same trace must be drawn by all processes."""
    assert drawn(trace_id, ratio) is expected


def test_so_many_in_a_second_and_again_in_the_next():
    allowance = Allowance(2)
    assert [allowance.take(now_s) for now_s in (7.0, 7.1, 7.9, 8.0, 8.1, 8.2)] == [True, True, False, True, True, False]


def test_a_traceparent_is_read_and_written():
    context = parse(HEADER)
    assert context == SpanContext(0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, sampled=True)
    assert context.header == HEADER


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("", id="nothing"),
        pytest.param(HEADER.upper(), id="upper case"),
        pytest.param(f"ff{HEADER[2:]}", id="forbidden version"),
        pytest.param(f"00-{'0' * 32}-b7ad6b7169203331-01", id="no trace"),
        pytest.param(f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01", id="no span"),
        pytest.param(HEADER[:-1], id="cut off"),
        pytest.param(f"{HEADER}\n", id="a line more"),
    ],
)
def test_a_bad_traceparent_is_none(header: str):
    """Source: W3C Trace Context, 3.2.2."""
    assert parse(header) is None


def test_a_later_version_is_read_as_far_as_it_is_known():
    assert parse(f"01{HEADER[2:]}-what-comes-later") == parse(HEADER)


def test_an_ordinary_request_leaves_nothing(traces: Traces, told: Told):
    root = traces.begin("page", Kind.SERVER)
    root.child("attempt").end()
    root.end(root.start_s + 0.01)
    assert (told.names, told.why) == ([], [])


def test_a_degraded_request_is_kept_whole_with_what_ended_before_it_was_known(traces: Traces, told: Told):
    root = traces.begin("page", Kind.SERVER)
    root.child("attempt").end()
    root.trace.degraded = True
    root.child("write").end()
    root.end(root.start_s + 0.01)
    assert (told.names, told.why) == (["attempt", "write", "page"], [Kept.DEGRADED])
    assert {span.context.trace_id for span in told.spans} == {root.context.trace_id}
    assert {span.parent for span in told.spans} == {None, root.context}


def test_the_callers_draw_holds(traces: Traces, told: Told):
    root = traces.begin("page", Kind.SERVER, HEADER)
    root.end()
    assert told.why == [Kept.SAMPLED]
    assert root.parent == parse(HEADER)
    assert root.context.trace_id == 0x0AF7651916CD43DD8448EB211C80319C


@pytest.mark.parametrize(("header", "names"), [(HEADER, ["page", "late"]), (f"{HEADER[:-1]}0", [])])
def test_what_ends_after_its_request_goes_the_same_way(traces: Traces, told: Told, header: str, names: list[str]):
    root = traces.begin("page", Kind.SERVER, header)
    late = root.child("late")
    root.end(root.start_s)
    late.end()
    assert told.names == names


def test_a_request_keeps_so_many_spans_and_itself(traces: Traces, told: Told):
    root = traces.begin("page", Kind.SERVER, HEADER)
    for _ in range(2 * MAX_SPANS):
        root.child("attempt").end()
    root.end()
    assert told.names == ["attempt"] * MAX_SPANS + ["page"]


@pytest.mark.parametrize("header", ["", HEADER])
def test_an_outage_and_a_caller_who_draws_all_are_kept_up_to_a_bound_and_the_rest_counted(
    traces: Traces, told: Told, header: str
):
    for _ in range(MAX_UNDRAWN_PER_S + 5):
        root = traces.begin("page", Kind.SERVER, header)
        root.trace.degraded = True
        root.end(1000.5)
    assert (len(told.spans), told.too_many) == (MAX_UNDRAWN_PER_S, 5)


def test_what_is_drawn_here_is_kept_whatever_there_is_of_it(told: Told):
    traces = Traces(KeepPolicy(ratio=1.0), told.export, told)
    for _ in range(MAX_UNDRAWN_PER_S + 5):
        traces.begin("page", Kind.SERVER).end(1000.5)
    assert (len(told.spans), told.too_many) == (MAX_UNDRAWN_PER_S + 5, 0)


def test_an_error_fails_the_span_that_it_ends(traces: Traces, told: Told):
    root = traces.begin("page", Kind.SERVER, HEADER)
    with pytest.raises(KeyError), Around(root.child("write")):
        raise KeyError
    assert told.spans == []
    root.end()
    assert [span.failed for span in told.spans] == ["KeyError", ""]


async def test_each_task_has_its_own_current_span(traces: Traces):
    roots = [traces.begin(f"{number}", Kind.SERVER) for number in range(3)]

    async def work(root: Span) -> Span | None:
        with Active(root):
            await asyncio.sleep(0)
            return current()

    assert await asyncio.gather(*(work(root) for root in roots)) == roots
    assert current() is None


def test_calls_carry_the_current_span(traces: Traces):
    assert "traceparent" not in dict(outgoing_metadata("r1"))
    with Active(traces.begin("page", Kind.SERVER, HEADER)) as span:
        assert dict(outgoing_metadata("r1"))["traceparent"] == span.context.header
