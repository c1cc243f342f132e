"""Served tokens: what was served can be proved, and nothing else can."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.served_token import TOKEN_CHARS, make_tokens, verify

KEY = bytes(range(32))
VIDEOS = ["v1", "v2", "video-3"]
TEXTS = st.text(max_size=20)


def check(
    token: str, key: bytes = KEY, recommendation_id: str = "r1", user_id: str = "u1", video_id: str = "v1"
) -> bool:
    return verify(token, key, recommendation_id=recommendation_id, user_id=user_id, video_id=video_id)


def test_the_tokens_of_a_page_in_its_order() -> None:
    tokens = make_tokens(KEY, "r1", "u1", VIDEOS)

    assert [[check(token, video_id=video_id) for video_id in VIDEOS] for token in tokens] == [
        [True, False, False],
        [False, True, False],
        [False, False, True],
    ]
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{16}", token) for token in tokens)


def test_a_token_of_an_earlier_release_still_holds() -> None:
    """Known answer: clients send tokens back long after an update."""
    assert make_tokens(KEY, "r1", "u1", ["v1"]) == ["sYiKMjBmVVhnIgGI"]


def test_a_page_without_videos_has_no_tokens() -> None:
    assert make_tokens(KEY, "r1", "u1", []) == []


@pytest.mark.parametrize(
    "claim",
    [
        pytest.param({"recommendation_id": "r2"}, id="another page"),
        pytest.param({"user_id": "u2"}, id="another user"),
        pytest.param({"video_id": "v2"}, id="another video"),
        pytest.param({"key": bytes(32)}, id="another deployment"),
        pytest.param({"recommendation_id": "r", "user_id": "1u1"}, id="moved from page to user"),
        pytest.param({"user_id": "u", "video_id": "1v1"}, id="moved from user to video"),
    ],
)
def test_it_proves_nothing_else(claim: dict[str, object]) -> None:
    (token,) = make_tokens(KEY, "r1", "u1", ["v1"])

    assert check(token)
    assert not check(token, **claim)  # type: ignore[arg-type]  # a table of arguments


@pytest.mark.parametrize("token", ["", "x", "A" * TOKEN_CHARS, "é" * TOKEN_CHARS, "\udcff", "A" * 10_000])
def test_any_other_text_is_none(token: str) -> None:
    assert not check(token)


@given(TEXTS, TEXTS, st.lists(TEXTS, max_size=5), st.binary(min_size=16, max_size=64))
def test_what_was_made_is_verified(recommendation_id: str, user_id: str, video_ids: list[str], key: bytes) -> None:
    for token, video_id in zip(make_tokens(key, recommendation_id, user_id, video_ids), video_ids, strict=True):
        assert check(token, key, recommendation_id, user_id, video_id)
