"""Places for new videos, which the model cannot know yet: shown, they are learned of."""

from typing import Final

import numpy as np

from runtime.models.model_bundle import Floats, ModelArrays
from scorer.domain.shortlist import Lots, Rows, Shortlist, StageInput

# A video that fewer users than this have met in the training is new: its embedding is still mostly the one it was
# begun with.
NEW_BELOW_USERS: Final = 20

# Newest of them that are looked at for each user, and of those the best by the user's scores that lots are drawn
# among.
MOST_NEWCOMERS: Final = 2000
DRAWN_AMONG: Final = 100


def newcomers_of(arrays: ModelArrays) -> Rows:
    """Returns the new videos of a model, at most MOST_NEWCOMERS, int64 item_index.

    A new video is an active one that few users met in the training. Of too many the last published come first, of
    those the least met. One published long ago is as new: nothing is known of it either.
    """
    met = np.bincount(arrays.seen_items, minlength=len(arrays.video_ids))
    new = np.flatnonzero((met < NEW_BELOW_USERS) & arrays.item_active)
    order = np.lexsort((met[new], -arrays.item_published_ms[new]))
    return new[order[:MOST_NEWCOMERS]]


def best_newcomers(rows: Rows, scores: Floats) -> Shortlist:
    """Returns those that lots are drawn among: the user's best, without those that may not appear.

    Args:
        rows: New videos.
        scores: The user's scores of them, float32; -inf: may not appear.
    """
    if len(rows) > DRAWN_AMONG:
        best = np.argpartition(-scores, DRAWN_AMONG)[:DRAWN_AMONG]
        rows, scores = rows[best], scores[best]
    allowed = scores > -np.inf
    return Shortlist(rows[allowed], scores[allowed])


def lots_wanted(size: int, share: float) -> int:
    """Returns how many lots `explore` needs beside those of the shuffle.

    Args:
        size: How many videos the list has.
        share: Of its places that go to new videos.
    """
    return DRAWN_AMONG + 1 + int(size * share) + 1


def explore(best: Shortlist, given: StageInput) -> Shortlist:
    """Gives a share of the places to new videos, drawn from the session's seed; what stood there moves down.

    The list is parted into as many stretches as there are places to give, one place in each, so that each page has its
    share. Each of those places goes to each of the newcomers with the same probability. It takes the value of what it
    moves down.
    """
    newcomers = given.newcomers
    if newcomers is None or given.lots is None or not len(newcomers.rows) or not len(best.rows):
        return best
    size, drawn_among = len(best.rows), len(newcomers.rows)
    by_video, by_place = given.lots[size : size + drawn_among], given.lots[size + DRAWN_AMONG :]
    wanted = int(size * given.stages.exploration + by_place[0])
    places = _places(size, min(wanted, drawn_among), by_place[1:])
    chosen = newcomers.rows[np.argsort(by_video, kind="stable")[: len(places)]]
    kept = np.ones(size, np.bool_)
    kept[places] = False
    rows = np.empty(size, np.int64)
    rows[places] = chosen
    rows[kept] = best.rows[: size - len(places)]
    values = np.empty(size, np.float32)
    values[places] = best.values[places - np.arange(len(places))]
    values[kept] = best.values[: size - len(places)]
    propensity = 1 / drawn_among
    return Shortlist(rows, values, tuple(places.tolist()), (propensity,) * len(places))


def _places(size: int, count: int, drawn: Lots) -> Rows:
    """Draws one place in each of `count` stretches of about the same length."""
    edges = [each * size // count for each in range(count)] + [size]
    lengths = zip(edges, edges[1:], drawn[:count].tolist(), strict=False)
    return np.array([start + int(lot * (end - start)) for start, end, lot in lengths], np.int64)
