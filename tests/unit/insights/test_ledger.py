"""Which claim holds, and what it changes."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insights.domain.ledger import COUNTS_FOR, Claim, Entry, Key, Known, Verdict, counted, settle, tie
from insights.domain.outcome import NOTHING, Deeds, Outcome, deeds_of
from runtime.served_token import make_tokens

SECRET = b"k" * 32
TIME = datetime(2025, 9, 1, 12, tzinfo=UTC)


def entry(page: str = "r1", position: int = 1, user_id: str = "u1", deeds: Deeds = NOTHING) -> Entry:
    return Entry(Key(page, position), user_id, 7, TIME, 1.0, Outcome.PENDING, deeds)


def claim(kind: str = "LIKE", at: datetime = TIME, watch_time_s: float = 0.0, **fields: Any) -> Claim:
    deeds = deeds_of(kind, watch_time_s, None, None, at)
    made = Claim("u1", "v1", "r1", "", "", deeds, at, at)
    return made._replace(**fields)


def token(page: str = "r1", user_id: str = "u1", video_id: str = "v1", key: bytes = SECRET) -> str:
    return make_tokens(key, page, user_id, [video_id])[0]


# Page r1 of session s1 has v1, page r2 of it has v1 and v2; r9 is another user's.
KNOWN = Known(
    {
        ("r1", "v1"): entry(),
        ("r2", "v1"): entry("r2"),
        ("r2", "v2"): entry("r2", 2),
        ("r9", "v1"): entry("r9", user_id="u9"),
    },
    {"r1", "r2", "r9"},
    {"s1": ["r2", "r1"], "s9": ["r9"]},
)


@pytest.mark.parametrize(
    ("given_claim", "verdict", "page"),
    [
        pytest.param(claim(), Verdict.TIED, "r1", id="names its page"),
        pytest.param(claim(served_token=token()), Verdict.TIED, "r1", id="proves it"),
        pytest.param(claim(user_id=""), Verdict.TIED, "r1", id="a service says so"),
        pytest.param(claim(recommendation_id="", feed_session_id="s1"), Verdict.TIED, "r2", id="newest of the session"),
        pytest.param(
            claim(recommendation_id="", feed_session_id="s1", served_token=token("r1")),
            Verdict.TIED,
            "r1",
            id="the page of the session that it proves",
        ),
        pytest.param(claim(recommendation_id=""), Verdict.UNTIED, None, id="names nothing"),
        pytest.param(claim(recommendation_id="r3"), Verdict.WAITING, None, id="page not known yet"),
        pytest.param(
            claim(recommendation_id="", feed_session_id="s3"), Verdict.WAITING, None, id="session not known yet"
        ),
        pytest.param(
            claim(recommendation_id="", feed_session_id="s1", video_id="v3"), Verdict.WAITING, None, id="a later page?"
        ),
        pytest.param(claim(served_token="A" * 16), Verdict.FORGED, None, id="made up"),
        pytest.param(claim(served_token=token(key=b"x" * 32)), Verdict.FORGED, None, id="another key"),
        pytest.param(claim(served_token=token(video_id="v2")), Verdict.FORGED, None, id="of another video"),
        pytest.param(claim(user_id="u2", served_token=token()), Verdict.FORGED, None, id="replayed by another user"),
        pytest.param(
            claim(recommendation_id="r3", served_token="A" * 16), Verdict.FORGED, None, id="before its page is known"
        ),
        pytest.param(
            claim(recommendation_id="", feed_session_id="s1", served_token="A" * 16),
            Verdict.FORGED,
            None,
            id="of no page of the session",
        ),
        pytest.param(claim(recommendation_id="", served_token=token()), Verdict.FORGED, None, id="of no page at all"),
        pytest.param(claim(recommendation_id="r9"), Verdict.FOREIGN, None, id="another user's page"),
        pytest.param(
            claim(recommendation_id="", feed_session_id="s9"), Verdict.FOREIGN, None, id="another user's session"
        ),
        pytest.param(claim(video_id="v2"), Verdict.FOREIGN, None, id="a video that was not on the page"),
        pytest.param(claim(at=TIME + COUNTS_FOR), Verdict.TIED, "r1", id="at the last moment"),
        pytest.param(claim(at=TIME + COUNTS_FOR + timedelta(seconds=1)), Verdict.LATE, None, id="too late"),
        pytest.param(claim(at=TIME - timedelta(hours=1)), Verdict.TIED, "r1", id="by a clock that is behind"),
    ],
)
def test_a_claim_holds_or_is_refused(given_claim: Claim, verdict: Verdict, page: str | None):
    found, about = tie(given_claim, KNOWN, [SECRET])
    assert (found, about and about.key.recommendation_id) == (verdict, page)


@pytest.mark.parametrize(
    ("key", "verdict"), [(SECRET, Verdict.TIED), (b"n" * 32, Verdict.TIED), (b"x" * 32, Verdict.FORGED)]
)
def test_while_the_secret_changes_proofs_of_both_hold(key: bytes, verdict: Verdict):
    found, _ = tie(claim(served_token=token(key=key)), KNOWN, [b"n" * 32, SECRET])
    assert found is verdict


def test_what_says_nothing_new_is_told_apart_and_changes_nothing():
    settled = settle([claim(), claim("VIEW"), claim(), claim("VIEW")], KNOWN, [SECRET])
    assert settled.verdicts == {Verdict.TIED: 2, Verdict.REPEATED: 2}
    again = settle([claim()], Known({("r1", "v1"): settled.entries[Key("r1", 1)]}, {"r1"}, {}), [SECRET])
    assert (again.verdicts, again.entries, again.totals) == ({Verdict.REPEATED: 1}, {}, {})


def test_a_refused_claim_changes_nothing():
    settled = settle([claim(served_token="A" * 16), claim(recommendation_id="r9")], KNOWN, [SECRET])
    assert (settled.entries, settled.totals, settled.waiting) == ({}, {}, [])


def test_an_ignored_video_is_consumed_after_all():
    ignored = entry()._replace(outcome=Outcome.IGNORED)
    settled = settle([claim("VIEW", watch_time_s=2.5)], Known({("r1", "v1"): ignored}, {"r1"}, {}), [SECRET])
    assert settled.entries[Key("r1", 1)].outcome is Outcome.CONSUMED
    added = {name: count for name, count in settled.totals[7].items() if count}
    assert added == {
        "ignored": -1,
        "consumed": 1,
        "ever_consumed": 1,
        "successful": 1,
        "watch_time_ms": 2500,
        "confidence_match_ppm": 1_000_000,
    }


CLAIMS = st.lists(
    st.builds(
        claim,
        st.sampled_from(["VIEW", "SKIP", "LIKE", "SHARE", "FOLLOW", "HIDE"]),
        video_id=st.sampled_from(["v1", "v2"]),
        recommendation_id=st.sampled_from(["r1", "r2"]),
        watch_time_s=st.sampled_from([0.0, 1.5]),
    ),
    max_size=12,
)


@given(CLAIMS, st.randoms(use_true_random=False), st.integers(0, 12))
def test_batches_orders_and_copies_make_the_same_ledger(claims: list[Claim], chance: Random, cut: int):
    """Totals follow the entries to the last item, however the same claims come."""
    told = [*claims, *claims[::2]]
    chance.shuffle(told)
    ledgers = []
    for batches in ([claims], [told[:cut], told[cut:]]):
        entries, totals = dict(KNOWN.entries), Counter[str]()
        for batch in batches:
            settled = settle(batch, Known(entries, KNOWN.pages, {}), [SECRET])
            entries = {place: settled.entries.get(each.key, each) for place, each in entries.items()}
            for added in settled.totals.values():
                totals.update(added)
        begun = sum((counted(each) for each in KNOWN.entries.values()), Counter[str]())
        assert +(totals + begun) == sum((counted(each) for each in entries.values()), Counter[str]())
        ledgers.append(entries)
    assert ledgers[0] == ledgers[1]
