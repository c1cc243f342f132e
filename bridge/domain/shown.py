"""What a scroll session has shown, small enough to travel in its page token.

Of each video four bytes are kept, its CRC-32. Two different videos share one in 4,000,000,000: then one that was not
shown is taken for one that was and left out of this session; one that was shown never comes again.
"""

import struct
import zlib
from collections.abc import Iterable
from typing import Final, TypeAlias

from bridge.domain.page import Ranking, without

Marks: TypeAlias = frozenset[int]

MARK_BYTES: Final = 4

# Half of what a token holds. Those before them are known by the users' history, if it is kept.
MOST: Final = 1_500

NOTHING_SHOWN: Final[Marks] = frozenset()


def marks_of(video_ids: Iterable[str]) -> bytes:
    """Returns the marks of some videos, as tokens hold them."""
    marks = list(map(zlib.crc32, map(str.encode, video_ids)))
    return struct.pack(f"<{len(marks)}I", *marks)


def joined(shown: bytes, more: bytes) -> bytes:
    """Adds marks to those of a session; the oldest go when there are too many."""
    return (shown + more)[-MOST * MARK_BYTES :]


def read_marks(shown: bytes) -> Marks:
    """Reads marks out of a token."""
    return frozenset(struct.unpack(f"<{len(shown) // MARK_BYTES}I", shown))


def shown_of(video_ids: Iterable[str], marks: Marks) -> frozenset[str]:
    """Returns which of some videos the session has shown."""
    if not marks:
        return frozenset()
    return frozenset(video_id for video_id in video_ids if zlib.crc32(video_id.encode()) in marks)


def unshown(ranking: Ranking, marks: Marks) -> Ranking:
    """Drops what the session has shown."""
    return without(ranking, shown_of(ranking.video_ids, marks))
