"""What users have seen and been sent: kept within bounds, read behind the page, followed, and known to every rung."""

import asyncio
import json
from collections.abc import Collection, Sequence
from dataclasses import replace

import pytest

from bridge.domain.history import (
    FollowedPage,
    Histories,
    HistoryPolicy,
    OlderHistory,
    Rule,
    TrainedUntil,
)
from bridge.domain.recent import FollowedEvent
from bridge.fakes import FakeClock, Recorder, ScriptedHistories
from bridge.history import KeptHistory, NoHistory, page_follower
from bridge.ports import ListError
from bridge.settings import BridgeSettings
from bridge.telemetry import ListFailed, ListTrouble
from runtime.settings import load

HOUR_S = 3_600.0
DAY_S = 24 * HOUR_S
ALL_RULES = {Rule.WATCHED: 30 * DAY_S, Rule.SKIPPED: 30 * DAY_S, Rule.HIDDEN: 365 * DAY_S, Rule.SERVED: DAY_S}
# So long that only a shut gate runs into it.
PATIENT = HistoryPolicy(ALL_RULES, wait_s=30.0, whole_wait_s=30.0)
HASTY = replace(PATIENT, wait_s=0.001, whole_wait_s=0.001)
LEFT_S = 60.0
WALL = FakeClock().wall()


class Kept:
    """A history with everything it is made of."""

    def __init__(self, policy: HistoryPolicy = PATIENT) -> None:
        self.reader = ScriptedHistories()
        self.clock = FakeClock()
        self.recorder = Recorder()
        self.history = KeptHistory(self.reader, policy, self.clock, self.recorder)

    async def of(self, user_id: str = "u1", left_s: float = LEFT_S) -> set[str]:
        return set(await self.history.of(user_id, left_s))

    async def whole(self, user_id: str = "u1", left_s: float = LEFT_S) -> set[str]:
        return set(await self.history.whole(user_id, left_s))

    def beyond(self, user_id: str = "u1") -> set[str]:
        return set(self.history.beyond_model(user_id).split())

    def did(self, interaction_type: str, video_id: str, *, user_id: str = "u1", age_s: float = 0.0) -> None:
        time_s = self.clock.wall() - age_s
        self.history.followed(FollowedEvent(1, user_id, video_id, interaction_type, 0.0, time_s))

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


@pytest.fixture
async def kept() -> Kept:
    return Kept()


async def test_a_history_is_read_when_its_user_comes_and_then_is_known(kept: Kept) -> None:
    kept.reader.newer_ids["u1"] = "a\nb"
    kept.reader.older_ids["u1"] = OlderHistory("c", "d")
    assert await kept.whole() == {"a", "b", "c", "d"}
    assert await kept.of() == {"a", "b", "c", "d"}
    assert await kept.of("u2") == set()
    assert [user for user, _, _ in kept.reader.newer_calls] == ["u1", "u2"]


async def test_a_known_history_is_returned_without_waiting(kept: Kept) -> None:
    """The page of a user in memory does not give up its turn."""
    await kept.whole()
    asking = kept.history.of("u1", LEFT_S)
    with pytest.raises(StopIteration):
        asking.send(None)


async def test_videos_are_looked_up_as_in_a_set(kept: Kept) -> None:
    kept.reader.newer_ids["u1"] = "a\nb"
    kept.reader.older_ids["u1"] = OlderHistory("b\nc", "")
    seen = await kept.history.whole("u1", LEFT_S)
    assert [video_id in seen for video_id in "abcd"] == [True, True, True, False]
    assert (len(seen), bool(seen), seen & {"a", "d"}) == (3, True, {"a"})
    assert not await kept.history.whole("u2", LEFT_S)


async def test_a_page_of_a_model_reads_the_newer_part_only() -> None:
    """The older part is what the model was trained on: it keeps that off by itself."""
    kept = Kept(HASTY)
    kept.reader.newer_ids["u1"] = "a"
    kept.reader.older_ids["u1"] = OlderHistory("b", "")
    assert await kept.of() == {"a"}
    await kept.settle()
    assert kept.reader.older_calls == []
    assert await kept.whole() == {"a", "b"}


async def test_what_no_model_was_trained_on_is_in_the_newer_part(kept: Kept) -> None:
    """A model that is nine days old leaves nine days to be known here."""
    kept.history.trained_until(WALL - 9 * DAY_S)
    await kept.of()
    assert kept.reader.newer_calls[0][2] == WALL - 9 * DAY_S


@pytest.mark.parametrize("left_s", [LEFT_S, 0.0055, -1.0], ids=["time-enough", "too-little-left", "nothing-left"])
async def test_a_hung_database_costs_the_history_and_not_the_page(left_s: float) -> None:
    kept = Kept(HASTY)
    kept.reader.newer_open.clear()
    kept.reader.older_open.clear()
    assert await kept.of(left_s=left_s) == set()
    assert await kept.whole(left_s=left_s) == set()
    await kept.settle()
    expected = (1, int(left_s > 0))  # with no time left no read is begun that only a page without a model needs
    assert (len(kept.reader.newer_calls), len(kept.reader.older_calls)) == expected, "one read a user at a time"
    await kept.history.stop()


async def test_with_too_little_time_left_nothing_is_awaited(kept: Kept) -> None:
    """The gate stays shut and the wait is 30 s: only a page that does not wait gets past it."""
    kept.reader.newer_open.clear()
    async with asyncio.timeout(10.0):
        assert await kept.of(left_s=0.0055) == set()
    await kept.history.stop()


async def test_a_late_read_is_there_for_the_next_page() -> None:
    kept = Kept(HASTY)
    kept.reader.newer_ids["u1"] = "a"
    kept.reader.newer_open.clear()
    assert await kept.of() == set()
    kept.history.served("u1", ["b"])
    kept.reader.newer_open.set()
    await kept.settle()
    assert await kept.of() == {"a", "b"}


async def test_what_comes_while_a_history_is_read_is_not_lost() -> None:
    kept = Kept(HASTY)
    await kept.of()
    kept.clock.now += PATIENT.max_age_s
    kept.reader.newer_open.clear()
    await kept.of()
    await kept.settle()
    kept.did("VIEW", "a")
    kept.reader.newer_open.set()
    await kept.settle()
    assert await kept.of() == {"a"}


async def test_while_the_database_is_down_what_was_served_here_is_known(kept: Kept) -> None:
    kept.reader.error = ListError("down")
    assert await kept.of() == set()
    kept.history.served("u1", ["a"])
    assert (await kept.of(), kept.beyond()) == ({"a"}, {"a"})
    assert set(kept.recorder.list_failures) == {ListFailed("history", ListTrouble.UNREADABLE)}
    assert len(kept.reader.newer_calls) == 1, "it is left alone for a while"
    kept.reader.error = None
    kept.reader.newer_ids["u1"] = "b"
    kept.clock.now += 1.0
    assert await kept.of() == {"a", "b"}


async def test_a_bug_costs_the_history_and_not_the_page(kept: Kept) -> None:
    kept.reader.error = ZeroDivisionError()
    assert await kept.whole() == set()


async def test_only_a_few_histories_are_read_at_a_time() -> None:
    kept = Kept(replace(HASTY, reads=2))
    kept.reader.newer_open.clear()
    for number in range(4):
        await kept.of(f"u{number}", left_s=0.0)
    await kept.settle()
    assert len(kept.reader.newer_calls) == 2
    await kept.history.stop()


async def test_what_is_kept_grows_old_and_is_read_again_behind_the_page(kept: Kept) -> None:
    """Windows move: what was served a day ago may come back."""
    kept.reader.newer_ids["u1"] = "a"
    await kept.whole()
    kept.reader.newer_ids["u1"] = "b"
    kept.clock.now += PATIENT.max_age_s - 1
    await kept.of()
    await kept.settle()
    assert await kept.of() == {"a"}
    kept.clock.now += 1
    assert await kept.of() == {"a"}, "this page does not wait for it"
    await kept.settle()
    assert await kept.of() == {"b"}
    assert len(kept.reader.older_calls) == 1


async def test_the_older_part_is_read_again_too_and_the_two_always_meet(kept: Kept) -> None:
    await kept.whole()
    for _ in range(13):
        kept.clock.now += PATIENT.max_age_s
        await kept.whole()
        await kept.settle()
    untils = [until for _, _, until, _ in kept.reader.older_calls]
    assert len(untils) == 3
    known_until = 0.0
    calls = [(now, 0, since) for _, now, since in kept.reader.newer_calls]
    calls += [(now, 1, until) for _, now, until, _ in kept.reader.older_calls]
    for _, older, time_s in sorted(calls):
        assert older or time_s <= (known_until or untils[0]), "nothing falls between the older part and the newer"
        known_until = time_s if older else known_until


async def test_what_was_served_here_stays_for_its_window_whatever_is_read(kept: Kept) -> None:
    """Pages come into the database behind the page, and not at all while the log is away."""
    await kept.of()
    kept.history.served("u1", ["a"])
    kept.clock.now += PATIENT.max_age_s
    await kept.of()
    await kept.settle()
    assert await kept.of() == {"a"}
    kept.clock.now += DAY_S
    await kept.of()
    await kept.settle()
    assert await kept.of() == set()


@pytest.mark.parametrize(
    ("off", "interaction_type"),
    [
        (Rule.WATCHED, "VIEW"),
        (Rule.WATCHED, "LIKE"),
        (Rule.WATCHED, "RATE"),
        (Rule.SKIPPED, "SKIP"),
        (Rule.HIDDEN, "HIDE"),
    ],
)
async def test_each_rule_can_be_off(off: Rule, interaction_type: str) -> None:
    expected: tuple[Collection[str], ...] = ({"a"}, set())
    policies = PATIENT, replace(PATIENT, windows_s={rule: s for rule, s in ALL_RULES.items() if rule is not off})
    for policy, found in zip(policies, expected, strict=True):
        kept = Kept(policy)
        await kept.of()
        kept.did(interaction_type, "a")
        assert await kept.of() == found


async def test_nothing_is_remembered_of_pages_where_that_rule_is_off() -> None:
    kept = Kept(replace(PATIENT, windows_s={Rule.HIDDEN: DAY_S}))
    kept.history.served("u1", ["a"])
    assert (await kept.of(), kept.beyond()) == (set(), set())


@pytest.mark.parametrize(
    ("interaction_type", "age_s", "expected"),
    [
        pytest.param("CLICK", 0.0, set(), id="a-click-alone-says-nothing"),
        pytest.param("VIEW", 31 * DAY_S, set(), id="watched-too-long-ago"),
        pytest.param("HIDE", 31 * DAY_S, {"a"}, id="hidden-lately-enough"),
    ],
)
async def test_each_rule_has_its_window(kept: Kept, interaction_type: str, age_s: float, expected: set[str]) -> None:
    await kept.of()
    kept.did(interaction_type, "a", age_s=age_s)
    assert await kept.of() == expected


async def test_of_users_who_are_not_here_nothing_is_followed(kept: Kept) -> None:
    kept.did("VIEW", "a", user_id="u9")
    assert kept.history.users == 0


class Pages:
    """The port `PageReader`, on a list of rows."""

    def __init__(self, *rows: FollowedPage) -> None:
        self.rows = list(rows)

    async def newest_row(self) -> int:
        return max((each.row for each in self.rows), default=0)

    async def rows_after(self, row: int, limit: int) -> list[FollowedPage]:
        return sorted(each for each in self.rows if each.row > row)[:limit]

    async def rows_of(self, numbers: Sequence[int]) -> list[FollowedPage]:
        return sorted(each for each in self.rows if each.row in numbers)


async def test_a_page_that_another_bridge_serves_is_known_here(kept: Kept) -> None:
    pages = Pages(FollowedPage(1, "u1", json.dumps(["before"])))
    follower = page_follower(pages, kept.history, 0.5, kept.clock, kept.recorder)
    await follower.look()
    await kept.of()
    pages.rows += [FollowedPage(2, "u1", json.dumps(["a", "b"])), FollowedPage(3, "u2", json.dumps(["c"]))]
    await follower.look()
    assert (await kept.of(), kept.beyond()) == ({"a", "b"}, {"a", "b"})
    assert kept.history.users == 1


async def test_a_page_served_between_a_read_and_the_first_look_is_known(kept: Kept) -> None:
    pages = Pages()
    follower = page_follower(pages, kept.history, 0.5, kept.clock, kept.recorder)
    await kept.of()
    pages.rows.append(FollowedPage(1, "u1", json.dumps(["a"])))
    await follower.look()
    assert await kept.of() == {"a"}


async def test_a_model_is_told_only_what_it_does_not_know(kept: Kept) -> None:
    """All of it while no model has said what it knows, and then what came after its training."""
    kept.reader.newer_ids["u1"] = "new"
    kept.reader.older_ids["u1"] = OlderHistory("", "old")
    await kept.whole()
    assert kept.beyond() == {"new", "old"}
    kept.history.trained_until(WALL - 2 * DAY_S)
    kept.clock.now += 2 * PATIENT.swap_s
    kept.history.trained_until(WALL - HOUR_S)
    kept.clock.now += 2 * PATIENT.swap_s
    kept.history.trained_until(WALL - HOUR_S)
    assert kept.beyond() == {"new"}
    kept.history.served("u1", ["page"])
    assert kept.beyond() == {"new", "page"}


async def test_what_came_between_an_old_model_and_the_newer_part_is_told_too(kept: Kept) -> None:
    kept.history.trained_until(WALL - 9 * DAY_S)
    kept.reader.newer_ids["u1"] = "new"
    kept.reader.older_ids["u1"] = OlderHistory("known", "between")
    await kept.whole()
    assert kept.reader.older_calls[0][3] == WALL - 9 * DAY_S
    assert kept.beyond() == {"new", "between"}


async def test_a_model_that_is_rolled_back_is_told_more(kept: Kept) -> None:
    kept.history.trained_until(WALL - HOUR_S)
    kept.reader.newer_ids["u1"] = "new"
    kept.reader.older_ids["u1"] = OlderHistory("known", "between")
    await kept.whole()
    kept.history.trained_until(WALL - 30 * DAY_S)
    assert kept.beyond() == {"new", "between", "known"}


async def test_what_is_told_fits_into_a_message(kept: Kept) -> None:
    kept.reader.newer_ids["u1"] = "\n".join(f"{number:0>127}" for number in range(10_000))
    await kept.of()
    told = kept.history.beyond_model("u1")
    assert len(told) == 262_143
    assert set(told.split("\n")) < await kept.of()


def test_while_models_are_swapped_the_older_one_counts() -> None:
    trained = TrainedUntil(period_s=60.0)
    assert trained.time_s == 0.0
    for now, time_s in ((0.0, 100.0), (1.0, 200.0), (59.0, 200.0), (61.0, 200.0)):
        trained.heard(time_s, now)
    assert trained.time_s == 100.0
    trained.heard(200.0, 122.0)
    assert trained.time_s == 200.0


def test_users_who_were_not_here_for_longest_are_forgotten_first() -> None:
    memory = Histories(replace(PATIENT, kept_bytes=100_000))
    memory.read_older("long", OlderHistory("v" * 60_000), 0.0, 0.0, now=0.0)
    for number in range(10):
        memory.served(f"u{number}", ["a"], now=0.0)
        memory.of("long")
    assert (memory.users, memory.memory_bytes < 100_000) == (11, True)
    for number in range(10, 80):
        memory.served(f"u{number}", ["a"], now=0.0)
        memory.of("long")
    assert memory.memory_bytes <= 100_000
    assert "long" in memory, "one who is served but not known does not drive out those who are known"
    assert "u79" in memory
    assert "u0" not in memory


def test_one_user_alone_has_bounds_too() -> None:
    memory = Histories(PATIENT)
    for page in range(3_000):
        memory.served("u1", [f"{page}-{place}" for place in range(20)], now=0.0)
    seen = memory.of("u1")
    assert seen is not None
    assert len(seen.newer) <= 262_144
    assert "2999-0" in seen


def test_who_is_served_the_same_again_and_again_takes_no_more_memory() -> None:
    """As in a small catalogue: a model would be told of each video a thousand times."""
    histories = Histories(PATIENT)
    pages = [[f"video-{page}-{place}" for place in range(20)] for page in range(100)]
    once = sum(len(video) + 1 for page in pages for video in page)
    for _ in range(5):
        for page in pages:
            histories.served("u1", page, now=0.0)
    seen = histories.of("u1")
    assert seen is not None
    assert len(seen.newer) <= 2 * once
    assert set(seen) == {video for page in pages for video in page}


def test_memory_is_given_back() -> None:
    memory = Histories(PATIENT)
    memory.served("u1", ["a"], now=0.0)
    little = memory.memory_bytes
    memory.read_newer("u1", "\n".join(f"v{number}" for number in range(1_000)), 0.0, now=0.0)
    assert memory.memory_bytes > little
    memory.read_newer("u1", "", 0.0, now=0.0)
    assert memory.memory_bytes == little


def test_each_rule_is_a_setting() -> None:
    assert load(BridgeSettings, {}).history_policy() == HistoryPolicy(ALL_RULES, margin_s=0.005)
    names = ("WATCHED", "SKIPPED", "HIDDEN", "SERVED")
    off = {f"FEED_BRIDGE_SEEN_{name}_H": "0" for name in names}
    assert load(BridgeSettings, off).history_policy() is None
    for name in names:
        policy = load(BridgeSettings, {**off, f"FEED_BRIDGE_SEEN_{name}_H": "0.5"}).history_policy()
        assert policy is not None
        assert policy.windows_s == {Rule[name]: HOUR_S / 2}


async def test_no_history_knows_nothing() -> None:
    history = NoHistory()
    history.served("u1", ["a"])
    history.trained_until(1.0)
    assert not await history.of("u1", LEFT_S)
    assert not await history.whole("u1", LEFT_S)
    assert history.beyond_model("u1") == ""


@pytest.mark.parametrize(("rules", "expected"), [(ALL_RULES, {"a"}), ({Rule.HIDDEN: DAY_S}, set())])
async def test_a_page_of_another_bridge_counts_only_while_the_rule_is_on(
    rules: dict[Rule, float], expected: set[str]
) -> None:
    kept = Kept(replace(PATIENT, windows_s=rules))
    await kept.of()
    kept.history.page_followed(FollowedPage(1, "u1", '["a"]'))
    assert await kept.of() == expected
