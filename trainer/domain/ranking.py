"""Every video ranked for many users, in blocks, so that memory stays flat."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from runtime.models.model_bundle import Codes, Floats
from trainer.domain.dataset import Lists

DEEP: Final = 50

# Scores in memory at a time: 16 MB.
_BLOCK_SCORES: Final = 1 << 22

# Scores of which only the best one is looked at first.
_GROUP: Final = 32

# The score of a video that is not ranked.
MASKED: Final = -np.inf


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Whatever ranks: user row @ item row + prior is a score.

    Args:
        user_factors: float32, shape (n_users, columns).
        item_factors: float32, shape (n_videos, columns).
        prior: float32, shape (n_videos,), added to every user's scores.
    """

    user_factors: Floats
    item_factors: Floats
    prior: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Rankings:
    """What came out on top for some users, and where the videos came that they liked.

    Args:
        top: int32 item_index, shape (n, up to DEEP), best first, -1 where a ranking ends.
        beaten: float32, one a pair of `Lists.pairs_of`: share of the videos not liked that the liked one is ranked
            above, ties by half. None: only the top is known.
    """

    top: Codes
    beaten: Floats | None


def rank(scores: Scores, masked: Lists, positives: Lists, users: Codes) -> Rankings:
    """Ranks every video for the users.

    Args:
        scores: What ranks.
        masked: Videos that are not ranked for a user.
        positives: What each user liked.
        users: user_index of the users to rank for; at least one.
    """
    tops, beaten = [], []
    for chunk, found in scored_blocks(scores, masked, users):
        tops.append(_top_of(found))
        beaten += [_beaten_by(row, positives.of(user)) for row, user in zip(found, chunk.tolist(), strict=True)]
    return Rankings(np.concatenate(tops), np.concatenate(beaten).astype(np.float32))


def scored_blocks(scores: Scores, masked: Lists, users: Codes) -> Iterator[tuple[Codes, Floats]]:
    """Scores every video for users, some of them at a time.

    Args:
        scores: What ranks.
        masked: Videos that are not ranked for a user: their score is MASKED.
        users: user_index of the users.

    Yields:
        The users of a block, and their scores: float32, shape (users, n_videos), the caller's to change.
    """
    block = max(1, _BLOCK_SCORES // len(scores.item_factors))
    for start in range(0, len(users), block):
        chunk = users[start : start + block]
        found = scores.user_factors[chunk] @ scores.item_factors.T + scores.prior
        rows, hidden = masked.pairs_of(chunk)
        found[rows, hidden] = MASKED
        yield chunk, found


def _top_of(scores: Floats) -> Codes:
    """Returns the best of each row, of equal ones the first.

    Only what reaches a bound that at least so many reach is sorted: to part whole rows takes twice the time.
    """
    deep = min(DEEP, scores.shape[1])
    # A factor that ran away makes scores that are no numbers: such rows are sorted whole.
    row, video = np.nonzero(~(scores < _bound(scores, deep)))
    found = scores[row, video]
    order = np.lexsort((-found, row))
    first = np.searchsorted(row, np.arange(len(scores)))
    best = order[first[:, None] + np.arange(deep)]
    return np.where(found[best] == MASKED, -1, video[best]).astype(np.int32)


def _bound(scores: Floats, deep: int) -> Floats:
    """Returns a score for each row that at least `deep` of it reach, and few more: of groups' best ones, the `deep`-th.

    Returns:
        Shape (n, 1).
    """
    width = max(1, min(_GROUP, scores.shape[1] // deep))
    groups = scores.shape[1] // width
    best = scores[:, : groups * width].reshape(len(scores), groups, width).max(axis=2)
    return np.partition(best, groups - deep, axis=1)[:, [groups - deep]]


def _beaten_by(row: Floats, liked: Codes) -> Floats:
    """Tells for each liked video which share of the others is ranked below it; a masked one is below all.

    Counted, not sorted: users have liked a few videos each, and a sort of the row takes longer than a look for each.
    """
    own = row[liked]
    others = _below(row, own) - _below(own, own)
    masked = np.count_nonzero(row == MASKED) - np.count_nonzero(own == MASKED)
    ranked = len(row) - len(own) - masked
    if not ranked:
        return np.full(len(own), 0.5, np.float32)
    return np.where(own == MASKED, 0.0, (others - masked) / ranked).astype(np.float32)


def _below(row: Floats, own: Floats) -> Floats:
    """Counts the scores of a row below each own one, those equal by half."""
    twice = [np.count_nonzero(row < score) + np.count_nonzero(row <= score) for score in own]
    return np.asarray(np.array(twice, np.float32) / 2, np.float32)
