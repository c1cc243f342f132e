"""What is done with a request as it begins: by what it has waited and by how many are under way."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from bridge.admission import Admission, Entry
from bridge.domain.limiter import AdaptiveLimit, LimitPolicy
from bridge.domain.outcome import FallbackReason
from bridge.domain.overload import Decision, Overload, OverloadPolicy
from bridge.domain.page import Ranking
from bridge.fakes import FakeChance, FakeClock, Recorder
from bridge.telemetry import RequestRefused
from feed.scoring.v1 import scoring_pb2
from runtime.errors import ResourceExhaustedError

POLICY = OverloadPolicy(
    shed_wait_s=0.08,
    refuse_wait_s=0.14,
    patience_s=0.5,
    patience_requests=4,
    max_requests=100,
    retry_after_s=1.0,
)
ANSWER = (scoring_pb2.RankResponse(), Ranking(["v1"], [1.0]))


@pytest.mark.parametrize(
    ("waited_s", "in_flight", "expected"),
    [
        pytest.param(0.0, 99, Decision.ADMIT, id="room-for-one"),
        pytest.param(0.08, 0, Decision.ADMIT, id="a-whole-attempt-is-left"),
        pytest.param(0.081, 0, Decision.SHED, id="too-little-for-a-whole-attempt"),
        pytest.param(5.0, 0, Decision.SHED, id="one-stall-is-no-overload"),
        pytest.param(0.0, 100, Decision.REFUSE, id="full"),
    ],
)
def test_what_is_done(waited_s: float, in_flight: int, expected: Decision) -> None:
    assert Overload(POLICY).decide(10.0, waited_s, in_flight) is expected


@pytest.mark.parametrize(
    ("times", "refused"),
    [
        pytest.param((1.0, 1.1, 1.2, 1.3, 1.51, 2.0), 2, id="half-a-second-long"),
        pytest.param((1.0, 1.1, 1.2, 1.3, 1.4, 1.5), 0, id="not-yet-so-long"),
        pytest.param((1.0, 1.5, 2.0, 2.5), 0, id="too-few-requests-for-a-queue"),
    ],
)
def test_requests_are_refused_once_none_could_be_answered_in_time_for_a_while(
    times: Sequence[float], refused: int
) -> None:
    overload = Overload(POLICY)
    decisions = [overload.decide(now, 0.15, 0) for now in times]
    assert decisions == [Decision.SHED] * (len(times) - refused) + [Decision.REFUSE] * refused


def test_one_that_came_in_time_ends_the_refusals() -> None:
    overload = Overload(POLICY)
    for now in (1.0, 1.1, 1.2, 1.3):
        overload.decide(now, 0.15, 0)
    decisions = [overload.decide(now, waited_s, 0) for now, waited_s in ((1.6, 0.15), (1.7, 0.1), (1.8, 0.15))]
    assert decisions == [Decision.REFUSE, Decision.SHED, Decision.SHED]


@pytest.mark.parametrize(("jitter", "expected"), [(0.0, 0.5), (0.5, 1.0), (0.75, 1.25)])
def test_refused_callers_do_not_come_back_together(jitter: float, expected: float) -> None:
    assert Overload(POLICY).retry_after_s(jitter) == expected


class Waits:
    """The port, with a wait that a test sets."""

    def __init__(self, waited_s: float = 0.0) -> None:
        self.waited_s = waited_s

    def lag_s(self, _now: float) -> float:
        return self.waited_s


class Door:
    """An admission with everything around it in view."""

    def __init__(
        self, waited_s: float = 0.0, limit: LimitPolicy | None = None, policy: OverloadPolicy = POLICY
    ) -> None:
        self.clock = FakeClock(0.0)
        self.waits = Waits(waited_s)
        self.limit = AdaptiveLimit(limit or LimitPolicy(minimum=2, maximum=2), 0.0)
        self.recorder = Recorder()
        self.admission = Admission(Overload(policy), self.limit, self.waits, self.clock, FakeChance(0.5), self.recorder)


def test_who_is_refused_hears_when_to_come_again_and_it_is_counted() -> None:
    """Issue 4: beyond trending RESOURCE_EXHAUSTED with a retry hint."""
    door = Door(policy=replace(POLICY, max_requests=0))
    with pytest.raises(ResourceExhaustedError) as refused:
        door.admission.enter(0.0, 0)
    assert (refused.value.reason, refused.value.retry_after_s) == ("OVERLOAD", 1.0)
    assert door.recorder.refusals == [RequestRefused(1.0)]


@pytest.mark.parametrize(("waited_s", "shed"), [(0.01, False), (0.1, True)])
def test_who_is_let_in_knows_what_it_has_waited(waited_s: float, shed: bool) -> None:
    assert Door(waited_s).admission.enter(0.0, 0) == Entry(waited_s, shed)


def test_who_is_shed_takes_no_permit() -> None:
    door = Door()
    assert door.admission.may_ask(Entry(0.1, shed=True)) is False
    assert door.limit.in_flight == 0


def test_as_many_as_the_limit_may_ask_at_a_time() -> None:
    door = Door()
    entry = Entry(0.0, shed=False)
    assert [door.admission.may_ask(entry) for _ in range(3)] == [True, True, False]
    door.admission.asked(0.0, ANSWER)
    assert door.admission.may_ask(entry) is True


@pytest.mark.parametrize(
    ("answer", "took_s", "expected"),
    [
        pytest.param(ANSWER, 0.01, 256, id="a-quick-page"),
        pytest.param(ANSWER, 0.055, 128, id="slow-pages"),
        pytest.param(FallbackReason.DEADLINE, 0.06, 128, id="timeouts"),
        pytest.param(FallbackReason.CIRCUIT_OPEN, 0.0, 256, id="an-open-breaker-says-nothing"),
        pytest.param(FallbackReason.OVERLOAD, 0.001, 128, id="a-scorer-that-has-too-much-to-do"),
        pytest.param(None, 0.06, 256, id="callers-who-left"),
    ],
)
def test_what_the_limit_learns(answer: object, took_s: float, expected: int) -> None:
    door = Door(limit=LimitPolicy())
    for _ in range(10):
        assert door.admission.may_ask(Entry(0.0, shed=False))
        door.clock.now += 0.02
        door.admission.asked(door.clock.now - took_s, answer)  # type: ignore[arg-type]
    assert door.limit.limit == expected
