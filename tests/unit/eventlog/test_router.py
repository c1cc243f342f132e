"""The router against a world in which anything may go wrong at any moment: nothing lost, no key out of order."""

from dataclasses import dataclass, field

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from eventlog.domain.router import BEHIND_S, JOURNAL_RETRY_S, REST_S, SLOW_S, Reason, Router, Switched, Way

WAIT_S = 0.04
KEYS = 2
# Things that end what has just begun must not happen all the time.
UNLIKELY = st.sampled_from([True, True, True, False])


@dataclass
class Item:
    """A record; `told` is what its caller was told."""

    number: int
    key: int = 0
    told: str = ""
    is_sent: bool = False
    is_refused: bool = False
    is_left: bool = False

    @property
    def is_settled(self) -> bool:
        return bool(self.told)

    def __len__(self) -> int:
        return 1

    def tell(self, outcome: str) -> None:
        self.told = self.told or outcome


@dataclass
class Window:
    """What the relay has under way: a part of the journal, and how much of it is confirmed."""

    start: int
    items: list[Item]
    sent_s: float
    confirmed: int = 0


@dataclass
class Looked:
    """The relay has read the journal's end and found nothing."""

    mark: int


@dataclass
class World:
    """Kafka, the journal and the clock. The producer's queue holds items, those of the relay with their window."""

    now_s: float = 100.0
    items: list[Item] = field(default_factory=list)
    queue: list[tuple[Item, Window | None]] = field(default_factory=list)
    topic: list[Item] = field(default_factory=list)
    journal: list[Item] = field(default_factory=list)
    position: int = 0
    noted: int = 0
    kafka_ready: bool = False
    journal_works: bool = True
    has_room: bool = True


class RouterInTheWorld(RuleBasedStateMachine):
    @initialize(on_kafka=st.booleans())
    def begin(self, on_kafka: bool) -> None:
        self.world = World(kafka_ready=on_kafka)
        self.restart()
        if on_kafka:
            self.relay_works(1)
            self.relay_works(1)

    def restart(self) -> None:
        self.router: Router[Item] = Router(WAIT_S)
        self.taken: list[Item] = []
        self.window: Window | None = None
        self.looked: Looked | None = None

    @rule(keys=st.sampled_from([[0], [0, 0], [0, 0, 0], [0, 1]]))
    def callers_publish(self, keys: list[int]) -> None:
        for key in keys:
            item = Item(len(self.world.items), key)
            self.world.items.append(item)
            if self.router.offer(item, self.world.now_s, kafka_ready=self.world.kafka_ready):
                self.send([item])

    @rule(pause_s=st.sampled_from([0.001, 0.001, 0.01, 0.05, 1.5]))
    def time_passes(self, pause_s: float) -> None:
        self.world.now_s += pause_s
        self.router.check(self.world.now_s)

    @rule(trouble=st.sampled_from(["", "", "", "", "kafka", "journal", "room"]))
    def the_weather_changes(self, trouble: str) -> None:
        self.world.kafka_ready = trouble != "kafka"
        self.world.journal_works = trouble != "journal"
        self.world.has_room = trouble != "room"

    @precondition(lambda self: bool(self.world.queue))
    @rule(count=st.integers(1, 6))
    def kafka_confirms(self, count: int) -> None:
        for item, window in self.world.queue[:count]:
            self.world.topic.append(item)
            if window is None:
                item.tell("kafka")
            elif window is self.window:
                window.confirmed += 1
        del self.world.queue[:count]

    @precondition(lambda self: bool(self.world.queue))
    @rule(count=st.integers(0, 3), spared=UNLIKELY)
    def the_producer_dies(self, count: int, spared: bool) -> None:
        """Some of what it held is in Kafka, but it says of all that it does not know."""
        if spared:
            return
        lost, self.world.queue = self.world.queue, []
        self.world.topic += [item for item, _ in lost[:count]]
        self.window = None  # the relay reads again from the first that failed
        for item, window in lost:
            if window is None and not item.is_settled:
                self.refuse(item)

    @rule(count=st.integers(1, 4), full=st.sampled_from([False, False, False, True]))
    def the_writer_works(self, count: int, full: bool) -> None:
        """Takes something, or ends with what it has taken."""
        if not self.taken:
            self.taken = self.router.take(count)
            return
        items, self.taken = self.taken, []
        if full:
            self.router.refused()
            self.tell(items, "full")
        elif self.world.journal_works:
            self.world.journal += items
            self.router.written()
            self.tell(items, "journal")
        else:
            self.not_written(items)

    def not_written(self, items: list[Item]) -> None:
        instead = self.router.not_written(items, self.world.now_s, kafka_ready=self.world.kafka_ready)
        if not instead:
            for item in items:
                item.is_left = item.is_sent and not item.is_refused
            self.tell([item for item in items if not item.is_left], "failed")
        self.send(instead)

    @rule(count=st.integers(1, 6))
    def relay_works(self, count: int) -> None:
        """Sends something, goes on once it is confirmed, or, in two steps, finds and says that nothing is left."""
        world = self.world
        if self.window is not None:
            if self.window.confirmed == len(self.window.items):
                self.go_on(self.window)
        elif self.looked is not None:
            mark, self.looked = self.looked.mark, None
            self.send(self.router.drained(mark, world.now_s, kafka_ready=world.kafka_ready))
        elif found := world.journal[world.position : world.position + count]:
            if world.kafka_ready:
                self.window = Window(world.position, found, world.now_s)
                world.queue += [(item, self.window) for item in found]
        else:
            self.looked = Looked(self.router.mark())

    def go_on(self, window: Window) -> None:
        self.window = None
        self.world.position = window.start + len(window.items)
        left = len(self.world.journal) - self.world.position
        elapsed_s = self.world.now_s - window.sent_s
        self.router.confirmed(len(window.items), left, elapsed_s, self.world.now_s)

    @rule(sent=st.integers(0, 3), written=st.booleans(), noted=st.booleans(), spared=UNLIKELY)
    def the_process_is_killed(self, sent: int, written: bool, noted: bool, spared: bool) -> None:
        """Some of what it had sent is in Kafka, and what it was writing may be in the journal."""
        if spared:
            return
        world = self.world
        world.topic += [item for item, _ in world.queue[:sent]]
        world.queue.clear()
        if written and world.journal_works:
            world.journal += self.taken
        for item in world.items:
            item.tell("killed")
        world.noted = world.position if noted else world.noted
        world.position = world.noted
        self.restart()

    # What must hold.

    @invariant()
    def nothing_acknowledged_is_lost(self) -> None:
        world = self.world
        in_kafka = {item.number for item in world.topic}
        waiting = {item.number for item in world.journal[world.position :]}
        for item in world.items:
            if item.told == "kafka":
                assert item.number in in_kafka
            if item.told == "journal":
                assert item.number in in_kafka | waiting
        assert {item.number for item in world.journal[: world.position]} <= in_kafka

    @invariant()
    def first_copies_of_a_key_are_in_order(self) -> None:
        first: dict[int, int] = {}
        for place, item in enumerate(self.world.topic):
            first.setdefault(item.number, place)
        for key in range(KEYS):
            # A record that its caller was told to send again keeps no place.
            kept = [each for each in self.world.items if each.key == key and each.told in {"", "kafka", "journal"}]
            places = [first.get(item.number, len(self.world.topic)) for item in kept]
            assert places == sorted(places)

    def teardown(self) -> None:
        """Once everything works again, everything is told and drained, and new records go to Kafka."""
        self.world.kafka_ready = self.world.journal_works = self.world.has_room = True
        for _ in range(50):
            self.settle()
        assert self.router.way is Way.KAFKA
        assert [item.number for item in self.world.items if not item.is_settled] == []
        self.nothing_acknowledged_is_lost()
        self.first_copies_of_a_key_are_in_order()

    def settle(self) -> None:
        if self.world.queue:
            self.kafka_confirms(len(self.world.queue))
        self.the_writer_works(100, full=False)
        self.relay_works(100)
        if not self.world.queue:
            self.time_passes(SLOW_S)

    def send(self, items: list[Item]) -> None:
        for item in items:
            if self.router.way is not Way.KAFKA:
                break
            if item.is_sent:
                item.tell("failed" if item.is_refused else "")
                continue
            item.is_sent = True
            if self.world.has_room:
                self.world.queue.append((item, None))
            else:
                self.refuse(item)

    def refuse(self, item: Item) -> None:
        item.is_refused = True
        if item.is_left or not self.router.leave_kafka(Reason.REFUSED, self.world.now_s):
            item.tell("failed")

    def tell(self, items: list[Item], outcome: str) -> None:
        for item in items:
            item.tell(outcome)


RouterInTheWorld.TestCase.settings = settings(max_examples=60, stateful_step_count=50)
TestRouterInTheWorld = RouterInTheWorld.TestCase


def way_of(router: Router[Item]) -> Way:
    return router.way


def on_kafka() -> Router[Item]:
    router: Router[Item] = Router(WAIT_S)
    assert router.drained(router.mark(), 0.0, kafka_ready=True) == []
    assert router.last == Switched(Way.KAFKA, Reason.DRAINED)
    return router


def items(count: int) -> list[Item]:
    return [Item(number) for number in range(count)]


def test_nobody_is_trusted_at_the_start() -> None:
    router: Router[Item] = Router(WAIT_S)

    assert not router.offer(Item(0), 0.0, kafka_ready=True)
    assert way_of(router) is Way.JOURNAL


def test_what_kafka_has_not_confirmed_in_time_goes_into_the_journal_with_all_behind_it() -> None:
    router = on_kafka()
    first, second, third = items(3)
    assert router.offer(first, 0.0, kafka_ready=True)
    assert router.offer(second, 0.01, kafka_ready=True)
    assert router.offer(third, 0.02, kafka_ready=True)
    assert router.next_check_s() == WAIT_S

    router.check(0.039)
    assert way_of(router) is Way.KAFKA

    second.tell("kafka")
    router.check(WAIT_S)
    assert router.last == Switched(Way.JOURNAL, Reason.SLOW)
    assert router.take(100) == [first, third]


def test_what_is_behind_many_others_may_take_longer() -> None:
    """Else a flood, which Kafka takes as fast as it can, would go through the journal and cost twice as much."""
    router = on_kafka()
    (first, *others) = items(1_001)
    for item in (first, *others):
        router.offer(item, 0.0, kafka_ready=True)
    first.tell("kafka")
    for item in others[:-1]:
        item.tell("kafka")

    router.check(WAIT_S + 999 * BEHIND_S)
    assert way_of(router) is Way.KAFKA

    router.check(WAIT_S + 1_000 * BEHIND_S)
    assert way_of(router) is Way.JOURNAL


def test_kafka_known_to_be_down_is_not_tried() -> None:
    router = on_kafka()
    first, second = items(2)
    router.offer(first, 0.0, kafka_ready=True)

    assert not router.offer(second, 0.001, kafka_ready=False)

    assert router.last == Switched(Way.JOURNAL, Reason.NOT_READY)
    assert router.take(100) == [first, second]


def test_new_records_are_held_back_while_the_last_old_ones_are_confirmed() -> None:
    router: Router[Item] = Router(WAIT_S)
    old, new = items(2)
    router.offer(old, 0.0, kafka_ready=True)
    assert router.take(100) == [old]
    router.written()

    router.confirmed(1, left=0, elapsed_s=0.005, now_s=10.0)
    assert router.last == Switched(Way.HOLD, Reason.NEARLY_DRAINED)
    assert not router.offer(new, 10.01, kafka_ready=True)
    assert router.take(100) == []

    assert router.drained(router.mark(), 10.02, kafka_ready=True) == [new]
    assert router.last == Switched(Way.KAFKA, Reason.DRAINED)


def test_what_is_held_back_for_too_long_goes_into_the_journal() -> None:
    router: Router[Item] = Router(WAIT_S)
    router.confirmed(1, left=0, elapsed_s=0.005, now_s=10.0)
    new = Item(0)
    router.offer(new, 10.01, kafka_ready=True)
    assert router.next_check_s() == pytest.approx(10.04)

    router.check(10.05)

    assert way_of(router) is Way.JOURNAL
    assert router.take(100) == [new]


def test_a_slow_kafka_is_not_trusted_again_until_it_is_fast() -> None:
    """200 ms a confirmation: the journal takes everything, and acknowledgements stay fast."""
    router: Router[Item] = Router(WAIT_S)
    router.confirmed(1, left=0, elapsed_s=0.2, now_s=10.0)
    assert router.drained(router.mark(), 10.0, kafka_ready=True) == []
    assert way_of(router) is Way.JOURNAL

    router.confirmed(1, left=0, elapsed_s=0.01, now_s=11.0)
    router.drained(router.mark(), 11.0, kafka_ready=True)
    assert way_of(router) is Way.KAFKA


def test_what_was_slow_long_ago_does_not_count() -> None:
    """Without new records nothing would ever show that Kafka is well again."""
    router: Router[Item] = Router(WAIT_S)
    router.confirmed(1, left=0, elapsed_s=0.2, now_s=10.0)
    router.drained(router.mark(), 9.9 + SLOW_S, kafka_ready=True)
    assert way_of(router) is Way.JOURNAL

    router.drained(router.mark(), 10.0 + SLOW_S, kafka_ready=True)
    assert way_of(router) is Way.KAFKA


def test_without_any_wait_the_journal_takes_everything() -> None:
    router: Router[Item] = Router(0.0)
    router.confirmed(1, left=0, elapsed_s=0.0, now_s=10.0)

    assert router.drained(router.mark(), 1_000.0, kafka_ready=True) == []
    assert way_of(router) is Way.JOURNAL


def test_a_kafka_that_stutters_is_left_alone_for_a_while() -> None:
    router = on_kafka()
    router.offer(Item(0), 20.0, kafka_ready=True)
    router.check(20.04)
    router.take(100)
    router.written()

    router.confirmed(1, left=0, elapsed_s=0.001, now_s=20.05)
    assert way_of(router) is Way.JOURNAL

    router.confirmed(1, left=0, elapsed_s=0.001, now_s=20.04 + REST_S)
    assert way_of(router) is Way.HOLD


def test_a_long_backlog_holds_nothing_back() -> None:
    router: Router[Item] = Router(WAIT_S)
    router.confirmed(1, left=4_000, elapsed_s=0.001, now_s=10.0)

    assert way_of(router) is Way.JOURNAL


def test_what_waits_for_the_journal_goes_to_kafka_once_all_before_it_is_there() -> None:
    router: Router[Item] = Router(WAIT_S)
    waiting = items(2)
    for item in waiting:
        router.offer(item, 0.0, kafka_ready=True)

    assert router.drained(router.mark(), 0.0, kafka_ready=True) == waiting
    assert router.take(100) == []


def test_a_record_written_after_the_last_look_is_not_drained() -> None:
    router: Router[Item] = Router(WAIT_S)
    mark = router.mark()
    router.offer(Item(0), 0.0, kafka_ready=True)
    router.take(100)
    assert router.drained(mark, 0.0, kafka_ready=True) == []
    router.written()

    assert router.drained(mark, 0.0, kafka_ready=True) == []
    assert way_of(router) is Way.JOURNAL


def test_with_a_broken_journal_kafka_goes_on_alone() -> None:
    router = on_kafka()
    slow, new = items(2)
    router.offer(slow, 0.0, kafka_ready=True)
    slow.is_sent = True
    router.check(WAIT_S)
    router.offer(new, 0.05, kafka_ready=True)
    taken = router.take(100)

    assert router.not_written(taken, 0.06, kafka_ready=True) == [slow, new]

    assert router.last == Switched(Way.KAFKA, Reason.JOURNAL_BROKEN)
    assert not router.leave_kafka(Reason.REFUSED, 0.5)
    router.check(0.5)
    assert way_of(router) is Way.KAFKA
    router.check(0.06 + JOURNAL_RETRY_S)
    assert way_of(router) is Way.JOURNAL


def test_a_broken_journal_that_still_holds_records_lets_none_pass() -> None:
    """They would overtake those of their key."""
    router: Router[Item] = Router(WAIT_S)
    router.offer(Item(0), 0.0, kafka_ready=True)
    taken = router.take(100)

    assert router.not_written(taken, 0.0, kafka_ready=True) == []
    assert way_of(router) is Way.JOURNAL

    router.drained(router.mark(), 0.5, kafka_ready=True)
    assert way_of(router) is Way.KAFKA


def test_a_journal_that_broke_after_it_took_a_record_lets_none_pass_either() -> None:
    router = on_kafka()
    old, new = items(2)
    router.offer(old, 0.0, kafka_ready=True)
    router.check(WAIT_S)
    assert router.take(100) == [old]
    router.written()
    router.offer(new, 0.1, kafka_ready=True)

    assert router.not_written(router.take(100), 0.1, kafka_ready=True) == []


def test_a_journal_that_can_neither_be_read_nor_written_is_not_waited_for() -> None:
    router: Router[Item] = Router(WAIT_S)
    new = Item(0)
    router.offer(new, 0.0, kafka_ready=True)

    assert router.unreachable(0.0, writable=True, kafka_ready=True) == []
    assert router.unreachable(0.0, writable=False, kafka_ready=False) == []
    assert router.unreachable(0.0, writable=False, kafka_ready=True) == [new]
    assert router.last == Switched(Way.KAFKA, Reason.JOURNAL_BROKEN)
