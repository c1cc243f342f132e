"""What editors change by hand (issue 6, item 6): on lists, for scorers, and while the database is down."""

import asyncio
from dataclasses import replace
from math import sqrt

import pytest

from bridge.corrections import CORRECTIONS, CorrectionsFollower
from bridge.domain.corrections import (
    MOST,
    NO_CORRECTIONS,
    ActiveCorrections,
    Correction,
    CorrectionKind,
    Corrections,
    CorrectionsPolicy,
    UserCorrection,
    book,
    corrected,
)
from bridge.domain.filters import VideoFacts
from bridge.fakes import FakeClock, MemoryLists, Recorder, StoppedClock
from bridge.ports import ListError
from bridge.telemetry import ListFailed, ListTrouble
from feed.scoring.v1 import scoring_pb2
from tests.polling import until

BOOST, REDUCE, BLOCK, REWEIGHT = CorrectionKind
VIDEOS = ("a", "b", "c", "d")
SCORES = (8.0, 6.0, 4.0, 2.0)
UNIT = sqrt(5)  # their standard deviation
FACTS = {
    "a": VideoFacts("ann", frozenset({"cats", "fun"}), "en", 10.0, None),
    "b": VideoFacts("bob", frozenset({"cats"}), "de", 10.0, None),
    "c": VideoFacts("", frozenset(), "", None, None),
}


@pytest.mark.parametrize(
    ("corrections", "expected"),
    [
        pytest.param([], "abcd", id="none"),
        pytest.param([Correction(BLOCK, video_id="b")], "acd", id="a-video-is-blocked"),
        pytest.param([Correction(BLOCK, video_id="z")], "abcd", id="another-video-is-blocked"),
        pytest.param([Correction(BLOCK, author_id="ann")], "bc", id="an-author-is-blocked-and-the-unknown-too"),
        pytest.param([Correction(BLOCK, tag="cats")], "c", id="a-tag-is-blocked"),
        pytest.param([Correction(BLOCK, language="DE")], "ac", id="a-language-is-blocked-in-any-letters"),
        pytest.param([Correction(BLOCK, video_id="a", tag="cats")], "bcd", id="a-video-if-it-has-the-tag"),
        pytest.param([Correction(BLOCK, video_id="a", tag="dogs")], "abcd", id="a-video-if-it-had-the-tag"),
        pytest.param([Correction(BLOCK, video_id="d", tag="dogs")], "abc", id="an-unknown-video-that-may-have-it"),
        pytest.param([Correction(BOOST, 2.0, video_id="c")], "cabd", id="a-video-is-boosted"),
        pytest.param([Correction(BOOST, 1.0, tag="cats")], "abcd", id="both-with-the-tag-are-boosted"),
        pytest.param([Correction(REDUCE, 2.0, tag="fun")], "bcad", id="reduced"),
        pytest.param([Correction(REDUCE, 9.0, tag="cats")], "cdab", id="reduced-and-in-the-order-of-before"),
        pytest.param([Correction(BOOST, 9.0, author_id="", tag="dogs")], "abcd", id="nobody-has-the-tag"),
        pytest.param(
            [Correction(BOOST, 5.0, tag="cats"), Correction(REDUCE, 5.0, tag="cats")], "abcd", id="they-sum-up"
        ),
        pytest.param([Correction(BOOST, 9.0, video_id="c"), Correction(BLOCK, video_id="c")], "abd", id="block-wins"),
        pytest.param([Correction(BOOST, 9.0, language="de", video_id="b")], "bacd", id="two-conditions"),
        pytest.param([Correction(BOOST, 9.0, language="en", video_id="b")], "abcd", id="one-of-two-conditions"),
        pytest.param([Correction(REWEIGHT, 0.0, part="prior")], "abcd", id="a-list-has-no-parts"),
        pytest.param([Correction(REWEIGHT, 0.0, part="prior", video_id="a")], "abcd", id="nor-has-a-video"),
    ],
)
def test_a_list_is_as_editors_corrected_it(corrections: list[Correction], expected: str) -> None:
    found = corrected(VIDEOS, SCORES, FACTS, corrections)
    assert "".join(found.video_ids) == expected
    assert list(found.scores) == sorted(found.scores, reverse=True)


def test_a_value_counts_in_standard_deviations_of_the_list() -> None:
    found = corrected(VIDEOS, SCORES, FACTS, [Correction(BOOST, 0.5, video_id="a"), Correction(REDUCE, 1, tag="cats")])
    assert dict(zip(*found, strict=True)) == pytest.approx({"a": 8 - UNIT / 2, "b": 6 - UNIT, "c": 4.0, "d": 2.0})


def test_a_list_of_equal_scores_can_be_changed_too() -> None:
    found = corrected(("a", "b"), (1.0, 1.0), FACTS, [Correction(BOOST, 1.0, video_id="b")])
    assert found == (("b", "a"), (2.0, 1.0))


def test_an_empty_list_stays_empty() -> None:
    assert corrected((), (), {}, [Correction(BOOST, 1.0, video_id="b")]) == ((), ())


def own(user_id: str, video_id: str) -> UserCorrection:
    return UserCorrection(user_id, Correction(BLOCK, video_id=video_id))


def test_everybodys_hold_for_everybody_and_a_users_own_for_him() -> None:
    made = book([own("u1", "1"), own("", "2"), own("u2", "3"), own("u1", "4")])
    blocked = {user: [each.video_id for each in made.of(user)] for user in ("u1", "u2", "u3")}
    assert blocked == {"u1": ["1", "4", "2"], "u2": ["3", "2"], "u3": ["2"]}


def test_a_request_carries_the_newest_the_users_own_first() -> None:
    made = book([*(own("", str(number)) for number in range(2 * MOST)), own("u1", "mine")])
    kept = [each.video_id for each in made.of("u1")]
    assert kept == ["mine", *map(str, range(MOST - 1))]


def test_what_can_be_kept_off_a_page_that_was_ranked_before() -> None:
    made = Corrections(
        (
            Correction(BLOCK, video_id="a"),
            Correction(BLOCK, video_id="b", tag="cats"),
            Correction(BLOCK, tag="dogs"),
            Correction(BOOST, 1.0, video_id="c"),
        )
    )
    assert (set(made.blocked_video_ids), made.need_facts, bool(made)) == ({"a"}, True, True)
    assert not NO_CORRECTIONS.blocked_video_ids
    assert (NO_CORRECTIONS.need_facts, bool(NO_CORRECTIONS)) == (False, False)


def test_blocks_of_more_than_single_videos_have_marks_that_tell_them_apart() -> None:
    blocks = [
        Correction(BLOCK, video_id="b", tag="cats"),
        Correction(BLOCK, author_id="x"),
        Correction(BLOCK, tag="x"),
        Correction(BLOCK, language="x"),
    ]
    others = [Correction(BLOCK, video_id="a"), Correction(BOOST, 1.0, tag="dogs")]
    assert len(Corrections((*blocks, *others)).block_marks) == len(blocks)
    assert Corrections(tuple(others)).block_marks == NO_CORRECTIONS.block_marks == frozenset()
    assert Corrections((blocks[1],)).block_marks < Corrections(tuple(blocks)).block_marks


class ScriptedCorrections:
    """The port `CorrectionReader`; without corrections it cannot be read."""

    def __init__(self, *found: UserCorrection) -> None:
        self.now: ActiveCorrections | None = ActiveCorrections(found, "m1")
        self.reads = 0

    def put(self, *found: UserCorrection, mark: str) -> None:
        self.now = ActiveCorrections(found, mark)

    async def active(self, mark: str) -> ActiveCorrections | None:
        self.reads += 1
        if self.now is None:
            raise ListError("corrections")
        return None if mark == self.now.mark else self.now


class Following:
    """A follower of a script; its files outlive it."""

    def __init__(self, reader: ScriptedCorrections, store: MemoryLists | None = None) -> None:
        self.recorder = Recorder()
        self.store = store or MemoryLists()
        self.clock = StoppedClock()
        self.follower = CorrectionsFollower(reader, self.store, CorrectionsPolicy(), self.clock, self.recorder)

    def blocked(self, user_id: str = "u1") -> set[str]:
        return set(self.follower.of(user_id).blocked_video_ids)


async def test_a_correction_holds_from_the_next_look_on_until_it_is_switched_off() -> None:
    reader = ScriptedCorrections()
    following = Following(reader)
    await following.follower.look()
    assert following.follower.of("u1") is NO_CORRECTIONS
    reader.put(own("", "x"), own("u1", "y"), mark="m2")
    await following.follower.look()
    assert (following.blocked("u1"), following.blocked("u2")) == ({"x", "y"}, {"x"})
    reader.put(own("u1", "y"), mark="m3")
    await following.follower.look()
    assert (following.blocked("u1"), following.follower.of("u2")) == ({"y"}, NO_CORRECTIONS)


async def test_what_is_made_of_them_is_made_once() -> None:
    reader = ScriptedCorrections(own("", "x"), own("u1", "y"))
    following = Following(reader)
    await following.follower.look()
    before = [following.follower.of(user) for user in ("u1", "u2", "u3")]
    await following.follower.look()
    assert before[1] is before[2]
    assert all(following.follower.of(user) is each for user, each in zip(("u1", "u2", "u3"), before, strict=True))


async def test_a_scorer_is_told_of_them() -> None:
    found = [
        UserCorrection("", Correction(BOOST, 1.5, tag="cats")),
        UserCorrection("", Correction(REWEIGHT, 0.0, part="prior")),
        UserCorrection("u1", Correction(BLOCK, video_id="x", language="en")),
    ]
    following = Following(ScriptedCorrections(*found))
    await following.follower.look()
    request = scoring_pb2.RankRequest(user_id="u1", k=5)
    request.MergeFromString(following.follower.of("u1").message)
    assert request == scoring_pb2.RankRequest(
        user_id="u1",
        k=5,
        corrections=[
            scoring_pb2.ScoreCorrection(kind=scoring_pb2.BLOCK, video_id="x", language="en"),
            scoring_pb2.ScoreCorrection(kind=scoring_pb2.BOOST, value=1.5, tag="cats"),
            scoring_pb2.ScoreCorrection(kind=scoring_pb2.REWEIGHT, part="prior"),
        ],
    )


async def test_without_the_database_those_that_were_read_last_hold() -> None:
    reader = ScriptedCorrections(own("", "x"))
    following = Following(reader)
    await following.follower.look()
    reader.now = None
    following.clock.now += 7.0
    with pytest.raises(ListError):
        await following.follower.look()
    assert (following.blocked(), following.follower.age_s()) == ({"x"}, 7.0)


async def test_a_start_without_the_database_has_those_of_the_last_run() -> None:
    """What was blocked must not come back because two things went down together."""
    first = Following(ScriptedCorrections(own("", "x")))
    await first.follower.look()
    reader = ScriptedCorrections()
    reader.now = None
    second = Following(reader, first.store)
    await second.follower.start()
    assert (second.blocked(), second.follower.age_s()) == ({"x"}, float("inf"))
    assert second.recorder.list_failures == [ListFailed(CORRECTIONS, ListTrouble.NOT_REFRESHED)]
    await second.follower.stop()


async def test_a_start_reads_them_anew_although_they_are_known() -> None:
    """A new release may make something else of the same rows."""
    first = Following(ScriptedCorrections(own("", "x")))
    await first.follower.look()
    second = Following(ScriptedCorrections(own("", "y")), first.store)
    await second.follower.start()
    assert (second.blocked(), second.follower.age_s()) == ({"y"}, 0.0)
    await second.follower.stop()


async def test_a_database_that_hangs_does_not_hold_up_a_start(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hung(ScriptedCorrections):
        async def active(self, mark: str) -> ActiveCorrections | None:
            del mark
            await asyncio.Event().wait()
            raise AssertionError

    monkeypatch.setattr("bridge.documents._FIRST_LOOK_S", 0.01)
    following = Following(Hung())
    async with asyncio.timeout(5):
        await following.follower.start()
    await following.follower.stop()


async def test_a_disk_that_is_full_changes_nothing_for_requests() -> None:
    following = Following(ScriptedCorrections(own("", "x")))
    following.store.broken = True
    await following.follower.start()
    assert following.blocked() == {"x"}
    assert following.recorder.list_failures == [
        ListFailed(CORRECTIONS, ListTrouble.UNREADABLE),
        ListFailed(CORRECTIONS, ListTrouble.UNWRITABLE),
    ]
    await following.follower.stop()


async def test_those_that_make_no_sense_are_counted() -> None:
    reader = ScriptedCorrections(own("", "x"))
    assert reader.now is not None
    reader.now = replace(reader.now, senseless=("id1", "id2"))
    following = Following(reader)
    await following.follower.look()
    assert (following.follower.count, following.follower.senseless) == (1, 2)


async def test_new_ones_come_by_themselves() -> None:
    reader = ScriptedCorrections()
    follower = CorrectionsFollower(reader, MemoryLists(), CorrectionsPolicy(), FakeClock(), Recorder())
    await follower.start()
    reader.put(own("", "x"), mark="m2")

    async def blocked() -> set[str]:
        return set(follower.of("u1").blocked_video_ids)

    await until(blocked, {"x"})
    await follower.stop()
