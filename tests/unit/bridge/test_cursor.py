"""The page token: opaque, signed, expiring, bound to its user, session and filters."""

import base64
import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.cursor import (
    MAX_CHARS,
    Cursor,
    CursorError,
    Refusal,
    open_token,
    require_same,
    seal,
)
from bridge.domain.outcome import FallbackReason, Source
from bridge.domain.page import Ranking, join_ids, pack_scores

KEY = b"k" * 32
ISSUED = 1_700_000_000
CURSOR = Cursor(
    feed_session_id="s1",
    user_id="u1",
    source=Source.LIGHTFM,
    fallback_reason=FallbackReason.NONE,
    algorithm="lightfm-warp",
    model_version="m1",
    arguments=b"digest",
    issued=ISSUED,
    expiry=ISSUED + 60,
    position=20,
    video_ids="v1\nv2",
    scores=pack_scores([0.5, 0.25]),
)


def refusal_of(token: str, now: float = ISSUED, key: bytes = KEY) -> Refusal:
    with pytest.raises(CursorError) as caught:
        open_token(token, [key], now)
    return caught.value.refusal


def test_a_token_gives_back_what_was_sealed() -> None:
    opened = open_token(seal(CURSOR, KEY), [KEY], ISSUED + 59.9)
    assert opened == CURSOR
    assert opened.to_come() == Ranking(["v1", "v2"], (0.5, 0.25))


def test_places_of_new_videos_come_back_with_their_videos() -> None:
    sealed = seal(msgspec.structs.replace(CURSOR, explored={1: 0.125}), KEY)
    assert open_token(sealed, [KEY], ISSUED).to_come().propensities == {"v2": 0.125}


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        pytest.param("", Refusal.MALFORMED, id="empty"),
        pytest.param("not base64!", Refusal.MALFORMED, id="not-base64"),
        pytest.param("käse", Refusal.MALFORMED, id="not-ascii"),
        pytest.param("abc", Refusal.MALFORMED, id="bad-padding"),
        pytest.param(base64.urlsafe_b64encode(b"short").decode(), Refusal.MALFORMED, id="too-short"),
        pytest.param(base64.urlsafe_b64encode(b"t" * 32 + b"\x01abc").decode(), Refusal.MALFORMED, id="other-version"),
        pytest.param(base64.urlsafe_b64encode(b"t" * 32 + b"\x02abc").decode(), Refusal.FORGED, id="made-up-tag"),
    ],
)
def test_what_is_no_token_is_refused(token: str, expected: Refusal) -> None:
    assert refusal_of(token) is expected


def test_a_token_of_another_deployment_is_forged() -> None:
    assert refusal_of(seal(CURSOR, KEY), key=b"x" * 32) is Refusal.FORGED


@pytest.mark.parametrize("now", [ISSUED + 60, ISSUED + 10_000], ids=["at-its-expiry", "long-after"])
def test_a_token_expires(now: float) -> None:
    assert refusal_of(seal(CURSOR, KEY), now) is Refusal.EXPIRED


@given(st.data())
def test_no_altered_byte_goes_unnoticed(data: st.DataObject) -> None:
    raw = bytearray(base64.urlsafe_b64decode(seal(CURSOR, KEY)))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    assert refusal_of(base64.urlsafe_b64encode(bytes(raw)).decode()) in {Refusal.FORGED, Refusal.MALFORMED}


@given(st.text(max_size=400))
def test_no_text_breaks_the_reader(token: str) -> None:
    assert refusal_of(token) in {Refusal.FORGED, Refusal.MALFORMED}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param({"user_id": "u2"}, Refusal.OTHER_USER, id="another-user"),
        pytest.param({"feed_session_id": "s2"}, Refusal.OTHER_SESSION, id="another-session"),
        pytest.param({"arguments": b"other"}, Refusal.OTHER_ARGUMENTS, id="other-filters"),
    ],
)
def test_a_token_is_for_its_user_session_and_filters(changed: dict[str, object], expected: Refusal) -> None:
    given_with = {"user_id": "u1", "feed_session_id": "s1", "arguments": b"digest", **changed}
    with pytest.raises(CursorError) as caught:
        require_same(CURSOR, **given_with)  # type: ignore[arg-type]
    assert caught.value.refusal is expected


@pytest.mark.parametrize("session", ["", "s1"], ids=["not-stated", "the-same"])
def test_the_right_user_may_use_it(session: str) -> None:
    require_same(CURSOR, user_id="u1", feed_session_id=session, arguments=b"digest")


def test_a_token_with_the_longest_ids_is_cut_to_the_limit() -> None:
    """200 ids of 128 incompressible characters are 26 KB; the contract takes 16,384 characters."""
    ids = [hashlib.sha512(str(number).encode()).hexdigest() for number in range(999)]
    scores = pack_scores([float(-n) for n in range(999)])
    explored = dict.fromkeys(range(0, 999, 2), 0.01)
    long = msgspec.structs.replace(CURSOR, video_ids=join_ids(ids), scores=scores, explored=explored)
    token = seal(long, KEY)
    opened = open_token(token, [KEY], ISSUED)
    assert len(token) <= MAX_CHARS
    kept = opened.to_come()
    assert 50 < len(kept.video_ids) < 999
    assert kept.video_ids == ids[: len(kept.video_ids)]
    assert list(kept.scores) == [float(-n) for n in range(len(kept.video_ids))]
    assert list(kept.propensities) == kept.video_ids[::2]


def test_two_hundred_ordinary_ids_fit_whole() -> None:
    ids = [f"video-{number:012d}" for number in range(200)]
    long = msgspec.structs.replace(CURSOR, video_ids=join_ids(ids), scores=pack_scores([0.1] * 200))
    assert open_token(seal(long, KEY), [KEY], ISSUED).to_come().video_ids == ids
