"""Fewer videos of one kind close together."""

from typing import Final

import numpy as np

from runtime.models.model_bundle import Codes, Floats
from scorer.domain.shortlist import Shortlist, StageInput

# Room for a place beside a code in one number, so that one sort orders by code and then by place.
_PLACE_BITS: Final = 12


def hold_back(best: Shortlist, given: StageInput) -> Shortlist:
    """Takes from each value `diversity` times the spread for each better video of the author, and with its leading tag.

    For authors alone, or leading tags alone, this is what a greedy choice does that takes a penalty for each video
    already placed: within one author the order stays, so the n-th one bears n - 1 penalties whenever it comes.
    """
    strength = given.stages.diversity * given.spread
    if strength <= 0:
        return best
    alike = _better_alike(given.likeness.author[best.rows], given.likeness.leading_tag[best.rows])
    return best.valued(best.values - np.float32(strength) * alike)


def part_runs(best: Shortlist, given: StageInput) -> Shortlist:
    """Lets no more than `max_run` videos of one author, or with one leading tag, follow each other.

    The best video that may come next comes next. When none of those left may, they follow as they are.
    """
    most = given.stages.max_run
    if not most:
        return best
    authors, tags = given.likeness.author[best.rows], given.likeness.leading_tag[best.rows]
    start = min(_first_too_many(authors, most), _first_too_many(tags, most))
    if start == len(authors):
        return best
    return best.ordered(np.array(_parted(authors.tolist(), tags.tolist(), most, start), np.int64))


def _better_alike(*kinds: Codes) -> Floats:
    """Counts for each place the earlier places with the same code, of each kind."""
    size = len(kinds[0])
    codes = np.concatenate(kinds).astype(np.int64)
    # Codes are below 2**31, so those of the second kind never meet those of the first.
    codes[size:] += 1 << 33
    places = np.arange(len(codes))
    ordered = np.sort((codes << _PLACE_BITS) + places)
    code = ordered >> _PLACE_BITS
    starts = np.zeros_like(places)
    np.multiply(places[1:], code[1:] != code[:-1], out=starts[1:])
    counts = np.empty(len(codes), np.float32)
    counts[ordered & ((1 << _PLACE_BITS) - 1)] = places - np.maximum.accumulate(starts)
    return counts[:size] + counts[size:]


def _first_too_many(codes: Codes, most: int) -> int:
    """Returns the first place where a run gets longer than `most`; the number of places when none does."""
    goes_on = codes[1:] == codes[:-1]
    left = len(codes) - most
    if left <= 0:
        return len(codes)
    too_many = goes_on[:left].copy()
    for more in range(1, most):
        too_many &= goes_on[more : more + left]
    first = int(too_many.argmax())
    return first + most if too_many[first] else len(codes)


def _parted(authors: list[int], tags: list[int], most: int, start: int) -> list[int]:
    """Returns the places in an order without longer runs, right up to `start`; changes the lists to it."""
    order = list(range(len(authors)))
    next_author, next_tag = authors[start - 1], tags[start - 1]
    for place in range(start, len(order)):
        author_before, tag_before = next_author, next_tag
        next_author, next_tag = authors[place], tags[place]
        if next_author != author_before and next_tag != tag_before:
            continue
        author, tag = _full(authors, place, most), _full(tags, place, most)
        for next_place in range(place, len(order)):
            if authors[next_place] != author and tags[next_place] != tag:
                break
        else:
            return order
        if next_place != place:
            for each in (order, authors, tags):
                each.insert(place, each.pop(next_place))
            next_author, next_tag = authors[place], tags[place]
    return order


def _full(codes: list[int], place: int, most: int) -> int | None:
    """Returns the code that fills the `most` places before one, so that it must not come next; None: none does."""
    before = codes[place - 1]
    return before if codes[place - most : place].count(before) == most else None
