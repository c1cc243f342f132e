"""A user's own list serves when it is there, fresh and read in time; it never costs the page."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from bridge.domain.cool_down import CoolDown
from bridge.domain.filters import Conditions, VideoFacts
from bridge.domain.ladder import Rung, Skip, Skipped
from bridge.domain.outcome import FallbackReason, Source
from bridge.domain.personal import PersonalPolicy, PersonalRow, UserList, personal_rung, wait_s
from bridge.fakes import FakeClock, Recorder, ScriptedUserLists
from bridge.personal import PersonalRung
from bridge.ports import ListError
from bridge.telemetry import ListFailed, ListTrouble

NOW = 1_700_001_000.0  # the fake clock's wall time
HOUR_S = 3_600.0
FACTS = {"a": VideoFacts("ann", frozenset({"cats"}), "en", 10.0, None)}


def row(
    video_id: str, score: float = 1.0, *, model: str = "m1", age_s: float = HOUR_S, left_s: float = HOUR_S
) -> PersonalRow:
    return PersonalRow(video_id, score, "lightfm-warp", model, NOW - age_s, NOW + left_s)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param([], Skip.NONE, id="no-list"),
        pytest.param([row("a", left_s=0.0)], Skip.STALE, id="expired"),
        pytest.param([row("a", age_s=2 * HOUR_S + 1)], Skip.STALE, id="made-too-long-ago"),
        pytest.param([row("a", float("nan"))], Skip.STALE, id="a-score-that-is-no-number"),
        pytest.param([row("a", 2.0), row("b", 1.0)], [("a", 2.0), ("b", 1.0)], id="fresh"),
        pytest.param([row("a", age_s=2 * HOUR_S)], [("a", 1.0)], id="just-fresh-enough"),
        pytest.param([row("a"), row("b", left_s=-1.0), row("c")], [("a", 1.0), ("c", 1.0)], id="partly-expired"),
        pytest.param(
            [row("a", 0.5), row("b", 0.9), row("c", 0.1)], [("a", 0.5), ("b", 0.5), ("c", 0.1)], id="the-rank-decides"
        ),
        pytest.param(
            [row("old", model="m0", age_s=HOUR_S + 9), row("new")], [("new", 1.0)], id="what-one-model-ranked-last"
        ),
    ],
)
def test_what_serves_of_a_list(rows: Sequence[PersonalRow], expected: Skip | list[tuple[str, float]]) -> None:
    made = personal_rung(UserList(rows, FACTS), NOW, max_age_s=2 * HOUR_S)
    if isinstance(made, Skipped):
        assert made == Skipped("precomputed", expected)  # type: ignore[arg-type]
        return
    assert list(zip(made.video_ids, made.scores, strict=True)) == expected
    assert (made.name, made.source) == ("precomputed", Source.PRECOMPUTED)
    assert (made.algorithm, made.model_version, made.facts) == ("lightfm-warp", "m1", FACTS)


@pytest.mark.parametrize(
    ("reason", "left_s", "expected"),
    [
        pytest.param(FallbackReason.CIRCUIT_OPEN, 0.150, 0.005, id="no-longer-than-the-setting"),
        pytest.param(FallbackReason.DEADLINE, 0.008, 0.003, id="what-is-left-less-the-margin"),
        pytest.param(FallbackReason.DEADLINE, 0.0055, Skip.TIMEOUT, id="too-little-left"),
        pytest.param(FallbackReason.DEADLINE, -0.010, Skip.TIMEOUT, id="nothing-left"),
        pytest.param(FallbackReason.OVERLOAD, 0.150, Skip.BUSY, id="overload-is-no-time-for-a-read"),
    ],
)
def test_how_long_a_request_may_wait(reason: FallbackReason, left_s: float, expected: float | Skip) -> None:
    allowed = wait_s(PersonalPolicy(), reason, left_s)
    assert allowed == (expected if isinstance(expected, Skip) else pytest.approx(expected))


def test_a_failed_store_is_left_alone_for_a_while() -> None:
    cool_down = CoolDown(pause_s=1.0, patience=3)
    cool_down.failed(10.0)
    assert [cool_down.over(now) for now in (10.0, 10.9, 11.0)] == [False, False, True]


def test_so_is_one_that_is_late_time_and_again() -> None:
    cool_down = CoolDown(pause_s=1.0, patience=3)
    for now in (10.0, 10.1):
        cool_down.late(now)
    cool_down.answered()
    for now in (10.2, 10.3):
        cool_down.late(now)
    assert cool_down.over(10.3)
    cool_down.late(10.4)
    assert not cool_down.over(10.5)


# So long that only a shut gate runs into it.
PATIENT = PersonalPolicy(wait_s=30.0, max_age_s=2 * HOUR_S, videos=3)
LEFT_S = 60.0


class Reading:
    """The rung with everything it was made of."""

    def __init__(self, policy: PersonalPolicy = PATIENT) -> None:
        self.store = ScriptedUserLists({"u1": UserList([row("a"), row("b")], FACTS)})
        self.clock = FakeClock()
        self.recorder = Recorder()
        self.rung = PersonalRung(self.store, policy, self.clock, self.recorder)

    async def step(
        self,
        user_id: str = "u1",
        asked: Conditions | None = None,
        reason: FallbackReason = FallbackReason.CIRCUIT_OPEN,
        left_s: float = LEFT_S,
    ) -> Rung | Skip:
        found = await self.rung.step(user_id, asked or Conditions(), reason, left_s)
        return found if isinstance(found, Rung) else found.why


async def test_a_users_list_is_read() -> None:
    reading = Reading()
    found = await reading.step()
    assert isinstance(found, Rung)
    assert found.video_ids == ["a", "b"]
    assert await reading.step("u2") is Skip.NONE
    assert reading.store.calls == [("u1", 3, False), ("u2", 3, False)]


async def test_a_filter_needs_the_facts_of_the_videos() -> None:
    reading = Reading()
    found = await reading.step(asked=Conditions(languages=frozenset({"en"})))
    assert isinstance(found, Rung)
    assert found.facts == FACTS
    await reading.step(asked=Conditions(excluded=frozenset({"a"})))
    assert [with_facts for _, _, with_facts in reading.store.calls] == [True, False]


async def test_a_store_that_fails_is_asked_again_after_the_pause() -> None:
    reading = Reading()
    reading.store.error = ListError("down")
    assert await reading.step() is Skip.UNAVAILABLE
    assert reading.recorder.list_failures == [ListFailed("precomputed", ListTrouble.UNREADABLE)]
    reading.store.error = None
    assert await reading.step() is Skip.UNAVAILABLE
    assert len(reading.store.calls) == 1
    reading.clock.now += 1.0
    assert isinstance(await reading.step(), Rung)


async def test_a_bug_costs_the_list_not_the_page() -> None:
    reading = Reading()
    reading.store.error = ZeroDivisionError()
    assert await reading.step() is Skip.UNAVAILABLE


async def test_a_store_that_hangs_is_waited_for_only_so_long_and_asked_no_more() -> None:
    reading = Reading(replace(PATIENT, wait_s=0.001, reads=2, patience=9))
    reading.store.open.clear()
    assert [await reading.step() for _ in range(4)] == [Skip.TIMEOUT, Skip.TIMEOUT, Skip.BUSY, Skip.BUSY]
    assert len(reading.store.calls) == 2
    await reading.rung.stop()
    assert [await reading.step() for _ in range(1)] == [Skip.TIMEOUT]  # its places are free again
    await reading.rung.stop()


async def test_late_answers_in_a_row_count_as_a_failure() -> None:
    reading = Reading(replace(PATIENT, wait_s=0.001, reads=9, patience=3))
    reading.store.open.clear()
    assert [await reading.step() for _ in range(4)] == [*[Skip.TIMEOUT] * 3, Skip.UNAVAILABLE]
    await reading.rung.stop()


async def test_only_a_few_are_read_at_a_time() -> None:
    reading = Reading(replace(PATIENT, reads=2))
    reading.store.open.clear()
    waiting = [asyncio.create_task(reading.step()) for _ in range(2)]
    await asyncio.sleep(0)
    assert await reading.step() is Skip.BUSY
    reading.store.open.set()
    assert all(isinstance(found, Rung) for found in await asyncio.gather(*waiting))
    assert isinstance(await reading.step(), Rung)


async def test_a_caller_that_leaves_lets_its_read_end_by_itself() -> None:
    """R09: ending a read would cost the store its connection; nobody waits for it."""
    reading = Reading(replace(PATIENT, reads=1))
    reading.store.open.clear()
    asking = asyncio.create_task(reading.step())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await reading.step() is Skip.BUSY
    reading.store.open.set()
    for _ in range(3):
        await asyncio.sleep(0)
    assert isinstance(await reading.step(), Rung)


async def test_overload_asks_no_store() -> None:
    reading = Reading()
    assert await reading.step(reason=FallbackReason.OVERLOAD) is Skip.BUSY
    assert reading.store.calls == []
