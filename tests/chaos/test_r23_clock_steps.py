"""R23: the wall clock is set an hour forwards and back; whatever waits, waits as long as before.

Monotonic time measures, wall time stamps (resilience4j's `Clock`): breakers, limits and the journal go by the former.
Events keep both times, the client's and that of the log.
"""

import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from tests.chaos.clock import HOUR_S, SteppedClock
from tests.chaos.conftest import Reporter
from tests.chaos.events import Stream
from tests.chaos.ingest_rig import SHORT_RATE, IngestRig, IngestRun
from tests.chaos.processes import FakeScorer, Running
from tests.chaos.rig import Rig
from tests.chaos.sending import new_run
from tests.chaos.stores import Table, read_topic
from tests.chaos.watching import Seen, feed_of, look_at_page
from tests.polling import wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="steps the clock with LD_PRELOAD")

TARGET = "no early or late transition > 100 ms; events keep both times; nothing lost"
SLACK_S = 0.1
# Every step, from the true time to each side, across, and back.
STEPS_S = (HOUR_S, -HOUR_S, HOUR_S, 0, -HOUR_S, 0)

FAILS = '[[acts]]\nstatus = "UNAVAILABLE"\n'
OPEN_S = 1.0
JITTER = 0.2
# Within an open spell, so that its end is what a step could move.
INTO_SPELL_S = 0.3
PAGE_EVERY_S = 0.01
LOOK_EVERY_S = 0.05

# librdkafka waits by the wall clock, so its group may put out a member that said nothing: it must be back within this.
STALL_S = 5.0
# Longer than a consumer group waits for a member that says nothing (45 s).
IDLE_S = 70.0
BATCH = 20

# What a journal waits for Kafka at most before it takes over.
TAKE_OVER_MS = 40.0


@pytest.fixture
def clock(tmp_path: Path) -> Iterator[SteppedClock]:
    """The wall clock of some processes."""
    made = SteppedClock(tmp_path)
    yield made
    # Ends what librdkafka waits for by the wall clock, and with it what the end of a process would wait for.
    made.set_ahead(2 * HOUR_S)


def test_a_breaker_and_the_limits_keep_their_time(rig: Rig, clock: SteppedClock, report: Reporter):
    scorer = rig.fake_scorer()
    rig.environ.update(clock.environ)
    bridge = rig.bridge(scorer.target, breaker_open_ms=int(OPEN_S * 1000), breaker_open_max_ms=int(OPEN_S * 1000))
    scorer.play(FAILS)
    with _pages(bridge) as pages:
        for ahead_s in STEPS_S:
            _wait_for_opening(bridge)
            time.sleep(INTO_SPELL_S)  # a place in the spell, not a wait
            clock.set_ahead(ahead_s)
        _wait_for_opening(bridge)
        personal = _recovers(scorer, pages)

    spells_s = _open_spells_s(bridge, clock)
    off_s = [_off_s(spell_s) for spell_s in spells_s]
    problems = [page.problem for page in pages if page.problem]
    refused = sum(page.refused for page in pages)
    report(
        "R23",
        "wall clock of the bridge +-1 h: breaker, limits, deadlines",
        target=TARGET,
        met=max(off_s) <= SLACK_S and not refused and max(page.latency_ms for page in pages) <= 250,
        steps=len(STEPS_S),
        spells=len(off_s),
        early_or_late_ms=max(off_s) * 1000,
        pages=len(pages),
        failed=len(problems),
        refused=refused,
        slowest_ms=max(page.latency_ms for page in pages),
    )
    assert problems == []
    assert personal
    assert len(off_s) >= len(STEPS_S)
    # A step forwards would have ended a spell early, one back an hour late.
    early = [spell_s for spell_s in spells_s if spell_s < OPEN_S * (1 - JITTER) - SLACK_S]
    assert len(early) <= 1, "a step of the wall clock moved a breaker; once may be the machine"
    assert max(off_s) < HOUR_S / 60, "a step of the wall clock moved a breaker"


@pytest.mark.kafka
@pytest.mark.postgres
def test_journal_and_sink_keep_their_time_and_events_both_of_theirs(
    ingest: IngestRig, clock: SteppedClock, long: bool, report: Reporter
):
    ingest.environ.update(clock.environ)
    interactions = ingest.interactions()
    ingest.sink()
    # Phones that were offline: the rules take what is 30 days old and refuse what is more than 5 minutes ahead.
    stream = Stream(new_run(), age_ms=2 * HOUR_S * 1000)
    between_s = 5.0 if long else 0.7
    with ingest.under_load(interactions, stream, rate=SHORT_RATE) as run:
        with _growth(run.table) as growth:
            for ahead_s in STEPS_S:
                clock.set_ahead(ahead_s)
                run.pause(between_s)
        frozen = ingest.freeze_broker()
        run.until_acknowledged(frozen, lambda each: each.durability == "JOURNAL")
        for ahead_s in STEPS_S:
            clock.set_ahead(ahead_s)
            run.pause(between_s / 2)
        thawed = ingest.thaw_broker()
        drained = run.until_in_kafka(thawed)

    journalled = run.attempts.between(frozen, thawed)
    untrue = _untrue_ingest_times(run)
    late_ms = max(0.0, journalled.latency_ms(1.0) - TAKE_OVER_MS)
    report(
        "R23",
        "wall clock of interactions and sink +-1 h: journal, relay, both times",
        target=TARGET,
        met=run.right and not untrue and late_ms <= SLACK_S * 1000 and max(growth) <= STALL_S,
        **run.figures(),
        journal_take_over_late_ms=late_ms,
        drained_after_s=drained - thawed,
        sink_longest_stall_s=max(growth),
        ingest_times_untrue=untrue,
    )
    run.check()
    assert _strays(run), "the clock of the ingest service was not stepped"
    assert untrue == 0
    assert max(growth) < HOUR_S / 60, "a step of the wall clock stopped the sink"


@pytest.mark.long
@pytest.mark.kafka
@pytest.mark.postgres
def test_an_idle_sink_outlives_a_step_back(ingest: IngestRig, clock: SteppedClock, report: Reporter):
    """librdkafka waits for its timers by the wall clock; with nothing to read, nothing else wakes it."""
    ingest.environ.update(clock.environ)
    interactions = ingest.interactions()
    ingest.sink()
    stream = Stream(new_run(), users=20, age_ms=2 * HOUR_S * 1000)
    with ingest.under_load(interactions, stream, rate=BATCH / IDLE_S) as run:
        wait_for(run.table.count, lambda count: count >= BATCH, run.bound_s)
        stepped = clock.set_ahead(-HOUR_S)
        acknowledged = run.until_acknowledged(stepped)
        wait_for(run.table.count, lambda count: count >= 2 * BATCH, run.bound_s)
        stored = run.pause(0)

    report(
        "R23",
        f"wall clock of an idle sink -1 h, next event after {IDLE_S:.0f} s",
        target=f"in the database within {STALL_S:.0f} s",
        met=run.right and stored - acknowledged <= STALL_S,
        **run.figures(),
        stored_after_s=stored - acknowledged,
    )
    run.check()


def _wait_for_opening(bridge: Running) -> None:
    """Waits until the breaker opens once more."""

    def openings() -> int:
        return sum(move.new == "open" for move in bridge.moves())

    before = openings()
    wait_for(openings, lambda count: count > before)


def _open_spells_s(bridge: Running, clock: SteppedClock) -> list[float]:
    """Returns how long the breaker was open, each time; its log has the times of the stepped clock."""
    moves = bridge.moves()
    return [
        clock.true_time(left.time) - clock.true_time(entered.time)
        for entered, left in itertools.pairwise(moves)
        if entered.new == left.old == "open"
    ]


def _off_s(spell_s: float) -> float:
    """Returns by how much a spell is shorter or longer than one may be with its jitter."""
    return max(0.0, OPEN_S * (1 - JITTER) - spell_s, spell_s - OPEN_S * (1 + JITTER))


def _recovers(scorer: FakeScorer, pages: Sequence[Seen]) -> bool:
    """Lets the scorer do well again; returns whether it then serves."""
    scorer.play("")
    start = time.time()
    return wait_for(lambda: any(page.source == "LIGHTFM" for page in pages if page.time > start), bool)


def _strays(run: IngestRun) -> int:
    """Counts the rows whose ingest time is far from when they were sent."""
    sent_ms = next(iter(run.attempts)).sent_ms
    return sum(abs(row.ingest_ms - sent_ms) > HOUR_S * 500 for row in run.table.rows())


def _untrue_ingest_times(run: IngestRun) -> int:
    """Counts the rows whose ingest time is not that of their first record in the topic."""
    newest_first = reversed(read_topic(run.kafka))
    times_ms = {msgspec.json.decode(copy.value)["eventId"]: copy.time_ms for copy in newest_first}
    return sum(times_ms[row.event["eventId"]] != row.ingest_ms for row in run.table.rows())


@contextmanager
def _pages(bridge: Running) -> Iterator[Sequence[Seen]]:
    """Pages, asked for one after the other within the block."""
    pages: list[Seen] = []
    with (
        feed_of(bridge.grpc_port) as feed,
        _repeating(lambda: pages.append(look_at_page(feed, f"u{len(pages) % 500 + 1}")), PAGE_EVERY_S),
    ):
        yield pages


@contextmanager
def _growth(table: Table) -> Iterator[Sequence[float]]:
    """The times between two growths of the table within the block, in seconds."""
    gaps_s: list[float] = [0.0]
    last = [table.count(), time.monotonic()]

    def look() -> None:
        count, now = table.count(), time.monotonic()
        if count > last[0]:
            gaps_s.append(now - last[1])
            last[:] = [count, now]

    with _repeating(look, LOOK_EVERY_S):
        yield gaps_s
    gaps_s.append(time.monotonic() - last[1])


@contextmanager
def _repeating(step: Callable[[], None], every_s: float) -> Iterator[None]:
    """Does something again and again within the block."""
    stopped = threading.Event()

    def repeat() -> None:
        while not stopped.wait(every_s):
            step()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
