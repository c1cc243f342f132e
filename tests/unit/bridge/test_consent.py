"""Who does not want to be known gets trending only, and nothing of it is told or remembered (issue 9, item 6)."""

from collections.abc import Sequence

import pytest

from bridge.consent import CONSENT, ConsentFollower
from bridge.domain.consent import Unpersonalised
from bridge.domain.recent import FollowedEvent, RecentPolicy
from bridge.fakes import FakeClock, MemoryLists, Recorder, ScriptedConsents, StoppedClock
from bridge.history import KeptHistory
from bridge.knowledge import Knowledge, WishPolicy
from bridge.ports import ListError
from bridge.recent import RecentFollower
from bridge.served_pages import ServedPages
from bridge.strangers import KeptStrangers, StrangersPolicy
from feed.recommendations.v1 import recommendations_pb2 as pb
from runtime.errors import NotFoundError
from tests.unit.bridge.test_history import Kept
from tests.unit.bridge.test_served_pages import Taken
from tests.unit.bridge.test_service import OK, Bridge, bridge, ids


def withholding(*users: str, history: KeptHistory | None = None) -> tuple[Bridge, ScriptedConsents]:
    made, consents = bridge([OK]), ScriptedConsents(*users)
    made.service._knowledge = Knowledge(WishPolicy(candidates=50), history=history, consents=consents)
    return made, consents


async def test_trending_is_served_and_no_scorer_is_asked() -> None:
    made, _ = withholding("u1")
    page = await made.page()
    assert (page.source, page.fallback_reason, page.attempts) == (pb.TRENDING, pb.NONE, 0)
    assert ids(page)[:3] == ["t0", "t1", "t2"]
    assert made.scorers[0].requests == []
    assert made.recorder.pages[0].withheld
    assert (await made.page(user_id="u2")).source == pb.LIGHTFM


async def test_a_scroll_under_way_stops_being_personal() -> None:
    made, consents = withholding()
    first = await made.page(page_size=5)
    assert first.source == pb.LIGHTFM
    consents.withheld.add("u1")
    second = await made.page(page_size=5, page_token=first.next_page_token)
    assert (second.source, second.feed_session_id) == (pb.TRENDING, first.feed_session_id)
    assert second.recommendations[0].position == 6
    third = await made.page(page_size=5, page_token=second.next_page_token)
    assert third.source == pb.TRENDING
    assert not set(ids(second)) & set(ids(third))


async def test_nothing_is_remembered_of_what_is_seen_and_served() -> None:
    kept = Kept()
    kept.reader.newer_ids["u1"] = "t0\nt1"
    made, consents = withholding("u1", history=kept.history)
    assert ids(await made.page())[:2] == ["t0", "t1"]
    assert (kept.history.users, kept.reader.newer_calls) == (0, [])
    consents.withheld.clear()
    await made.page()
    assert kept.history.users == 1


async def test_a_served_page_is_not_told_to_the_log() -> None:
    made, consents = withholding("u1")
    taken = Taken()
    made.service._observer = ServedPages(taken, FakeClock())
    await made.page()
    assert taken.records == []
    consents.withheld.clear()
    await made.page()
    assert [record.user_id for record in taken.records] == ["u1"]


async def test_nothing_personal_can_be_explained() -> None:
    made, _ = withholding("u1")
    explainer = made.service._explainer
    explainer._knowledge = made.service._knowledge
    with pytest.raises(NotFoundError, match="userId"):
        await explainer.explain(pb.ExplainRecommendationRequest(user_id="u1", video_id="v1"))


class Memories:
    """Everything that remembers users, with something of u1 and u2 in it, and a follower that makes it forget."""

    def __init__(self) -> None:
        self.kept = Kept()
        self.clock, self.recorder, self.store = StoppedClock(), Recorder(), MemoryLists()
        self.recent = RecentFollower(_NoRows(), RecentPolicy(), self.clock, self.recorder)
        self.strangers = KeptStrangers(_Words(), StrangersPolicy(), self.clock, self.recorder)
        self.reader = ScriptedConsents()
        self.forgotten: list[str] = []
        self.follower = ConsentFollower(self.reader, self.store, 2.0, self.forget, self.clock, self.recorder)

    async def fill(self) -> None:
        for user_id in ("u1", "u2"):
            self.recent._remember(FollowedEvent(1, user_id, "v1", "LIKE", 0.0, 1.0))
            self.kept.history.served(user_id, ["v1"])
            await self.strangers.read(user_id, "", "", 10.0)

    def forget(self, user_id: str) -> None:
        self.forgotten.append(user_id)
        for memory in (self.kept.history, self.recent, self.strangers):
            memory.forget(user_id)

    def known(self, user_id: str) -> tuple[bool, int, bool]:
        request = pb.GetRecommendationsRequest(user_id=user_id)
        self.recent.complete(request)
        in_history = self.kept.history._memory.peek(user_id) is not None
        return in_history, len(request.recent_interactions), self.strangers.known(user_id) is not None


class _NoRows:
    async def newest_row(self) -> int:
        return 0

    async def rows_after(self, row: int, limit: int) -> list[FollowedEvent]:
        del row, limit
        return []

    async def rows_of(self, numbers: Sequence[int]) -> list[FollowedEvent]:
        del numbers
        return []


class _Words:
    async def words(self, user_id: str, locale: str, country: str) -> list[str]:
        del user_id, locale, country
        return ["country=AT"]


async def test_all_memories_forget_who_withdraws_and_only_them() -> None:
    made = Memories()
    await made.fill()
    assert made.known("u1") == made.known("u2") == (True, 1, True)
    made.reader.withheld.add("u1")
    await made.follower.look()
    assert not made.follower.personalised("u1")
    assert made.known("u1") == (False, 0, False)
    assert (made.follower.personalised("u2"), made.known("u2")) == (True, (True, 1, True))
    assert made.kept.history.memory_bytes == made.kept.history._memory.peek("u2").memory_bytes  # type: ignore[union-attr]


async def test_what_was_being_read_meanwhile_is_forgotten_at_the_next_look() -> None:
    made = Memories()
    made.reader.withheld.add("u1")
    await made.follower.look()
    await made.fill()
    await made.follower.look()
    assert made.known("u1") == (False, 0, False)
    await made.follower.look()
    assert made.forgotten == ["u1", "u1"]


async def test_it_holds_over_a_start_without_the_database_until_it_is_taken_back() -> None:
    made = Memories()
    made.reader.withheld.add("u1")
    await made.follower.look()
    made.reader.error = ListError("down")
    again = ConsentFollower(made.reader, made.store, 2.0, made.forget, made.clock, made.recorder)
    await again.start()
    assert (again.personalised("u1"), again.count) == (False, 1)
    made.reader.error = None
    made.reader.withheld.clear()
    await again.look()
    assert (again.personalised("u1"), again.count) == (True, 0)
    assert made.store.lists[CONSENT] == Unpersonalised(frozenset(), "of []")
    await again.stop()
