"""The served token: proof that a video was served to a user on a page. Pure.

16 characters of base64url: keyed BLAKE2b of 12 bytes over page, user and video. It holds nothing and needs no store:
who has the deployment's key and is told the three can check it.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

TOKEN_CHARS: Final = 16

# 2^-96 for a forger's every try; a multiple of 3, so that base64 needs no padding and many are encoded at once.
_TAG_BYTES: Final = 12
# Keeps these apart from whatever else is signed with the same key.
_PERSON: Final = b"served-token-v1"


def make_tokens(key: bytes, recommendation_id: str, user_id: str, video_ids: Sequence[str]) -> list[str]:
    """Returns the tokens of a page, one a video, in order.

    Args:
        key: The secret of the deployment, 16 to 64 bytes.
        recommendation_id: The page.
        user_id: Whose page it is.
        video_ids: What is on it.
    """
    page = _page(key, recommendation_id, user_id)
    tags = []
    for video_id in video_ids:
        mac = page.copy()
        mac.update(video_id.encode())
        tags.append(mac.digest())
    text = base64.urlsafe_b64encode(b"".join(tags)).decode("ascii")
    return [text[start : start + TOKEN_CHARS] for start in range(0, len(text), TOKEN_CHARS)]


def verify(token: str, key: bytes, *, recommendation_id: str, user_id: str, video_id: str) -> bool:
    """Says whether this deployment served this video to this user on this page.

    Args:
        token: As a client sent it; any text.
        key: The secret that `make_tokens` was given.
        recommendation_id: The page that is claimed.
        user_id: Who claims it.
        video_id: What is claimed to have been on it.
    """
    mac = _page(key, recommendation_id, user_id)
    mac.update(video_id.encode(errors="surrogatepass"))
    expected = base64.urlsafe_b64encode(mac.digest())
    return hmac.compare_digest(token.encode(errors="surrogatepass"), expected)


def _page(key: bytes, recommendation_id: str, user_id: str) -> hashlib.blake2b:
    """Returns the hash of what the videos of a page have in common; lengths in front, so that nothing can be moved."""
    common = f"{len(recommendation_id)}:{recommendation_id}{len(user_id)}:{user_id}"
    return hashlib.blake2b(common.encode(errors="surrogatepass"), key=key, digest_size=_TAG_BYTES, person=_PERSON)
