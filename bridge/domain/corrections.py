"""What editors changed by hand, and what it does to lists that no scorer makes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import fsum, sqrt
from typing import Final, NamedTuple, TypeAlias
from zlib import crc32

from bridge.domain.filters import VideoFacts

# What the contract allows a request to a scorer to carry.
MOST: Final = 1_000


class CorrectionKind(StrEnum):
    """What a correction does; the names are those of the contract."""

    BOOST = "BOOST"
    REDUCE = "REDUCE"
    BLOCK = "BLOCK"
    REWEIGHT = "REWEIGHT"


_VIDEO: Final = "video"
_AUTHOR: Final = "author"
_TAG: Final = "tag"
_LANGUAGE: Final = "language"


@dataclass(frozen=True, slots=True)
class Correction:
    """One correction, for all videos that meet each of its conditions. An empty condition does not limit.

    Args:
        kind: What it does.
        value: How much; a block has none.
        video_id: Only this video.
        author_id: Only videos by this author.
        tag: Only videos with this tag.
        language: Only videos in this language; case does not matter.
        part: The part of a scorer's score that a reweighting multiplies.
    """

    kind: CorrectionKind
    value: float = 0.0
    video_id: str = ""
    author_id: str = ""
    tag: str = ""
    language: str = ""
    part: str = ""

    @property
    def needs_facts(self) -> bool:
        """Whether the catalogue must be asked which videos it is about."""
        return self.kind is not CorrectionKind.REWEIGHT and bool(self.author_id or self.tag or self.language)


class UserCorrection(NamedTuple):
    """A correction and whose feed it is for.

    Args:
        user_id: The user; empty: everybody.
        correction: It.
    """

    user_id: str
    correction: Correction


@dataclass(frozen=True, eq=False)
class Corrections:
    """What holds for one request. Compared by identity, so that what is made of it can be kept.

    Args:
        items: The corrections, newest first.
        message: They as a scorer is told of them, serialized: a request that holds nothing else.
    """

    items: tuple[Correction, ...] = ()
    message: bytes = b""
    # The videos that are blocked by their ids alone: what can be kept off a page that was ranked before.
    blocked_video_ids: frozenset[str] = field(init=False)
    # Marks of the other blocks: a page that was ranked before one of them must be ranked anew, for who tells which of
    # its videos are meant is the catalogue.
    block_marks: frozenset[int] = field(init=False)
    # Whether the catalogue must be asked which videos they are about.
    need_facts: bool = field(init=False)

    def __post_init__(self) -> None:
        """Gathers once what every request asks."""
        blocks = [each for each in self.items if each.kind is CorrectionKind.BLOCK]
        by_id = frozenset(each.video_id for each in blocks if not each.needs_facts)
        object.__setattr__(self, "blocked_video_ids", by_id)
        object.__setattr__(self, "block_marks", frozenset(_mark(each) for each in blocks if each.needs_facts))
        object.__setattr__(self, "need_facts", any(each.needs_facts for each in self.items))

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.items)


def _mark(block: Correction) -> int:
    conditions = (block.video_id, block.author_id, block.tag, block.language)
    return crc32("\n".join(conditions).encode())


NO_CORRECTIONS: Final = Corrections()


@dataclass(frozen=True, slots=True)
class CorrectionsPolicy:
    """How corrections are followed.

    Args:
        poll_s: Time between two looks for new ones, in seconds: they must hold within 5 s.
        most: Most that are followed, those of all users together; the newest.
    """

    poll_s: float = 2.0
    most: int = 10_000


@dataclass(frozen=True, slots=True)
class ActiveCorrections:
    """The corrections in force.

    Args:
        found: They, newest first.
        mark: What tells them from others.
        senseless: Ids of those that make no sense and are left out.
    """

    found: tuple[UserCorrection, ...] = ()
    mark: str = ""
    senseless: tuple[str, ...] = ()


class Listed(NamedTuple):
    """A list, best first: videos and their scores, which never rise."""

    video_ids: tuple[str, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Book:
    """All corrections in force, by whose feed they are for; each newest first.

    Args:
        everybody: Those for every feed.
        users: Those for one user's feed alone.
    """

    everybody: tuple[Correction, ...] = ()
    users: Mapping[str, tuple[Correction, ...]] = field(default_factory=dict)

    def of(self, user_id: str) -> tuple[Correction, ...]:
        """Returns what holds for a user; where there are too many, the user's own come before everybody's."""
        return (*self.users.get(user_id, ()), *self.everybody)[:MOST]


def book(found: Iterable[UserCorrection]) -> Book:
    """Sorts corrections, newest first, by users."""
    users: dict[str, list[Correction]] = {}
    for user_id, correction in found:
        users.setdefault(user_id, []).append(correction)
    everybody = tuple(users.pop("", ()))
    return Book(everybody, {user_id: tuple(own) for user_id, own in users.items()})


def corrected(
    video_ids: Sequence[str],
    scores: Sequence[float],
    facts: Mapping[str, VideoFacts],
    corrections: Iterable[Correction],
) -> Listed:
    """Takes out what is blocked, moves what is boosted or reduced, and sorts anew; ties stay in their order.

    Lists have scores of all sizes, a scorer's differ by about one: so a value counts in standard deviations of the
    list's scores. Blocks are strict: a video of which the catalogue says nothing is taken out by a block that would
    have to ask it.

    Args:
        video_ids: The videos, best first.
        scores: Their scores, one a video.
        facts: What the catalogue says of them.
        corrections: The corrections; a reweighting does nothing, because these scores have no parts.
    """
    rules = _Rules(corrections)
    unit = _spread(scores) or 1.0
    kept: list[tuple[float, str]] = []
    for video_id, score in zip(video_ids, scores, strict=True):
        shift = rules.shift(video_id, facts.get(video_id))
        if shift is not None:
            kept.append((score + shift * unit, video_id))
    kept.sort(key=lambda pair: -pair[0])
    return Listed(tuple(video_id for _, video_id in kept), tuple(score for score, _ in kept))


def _spread(scores: Sequence[float]) -> float:
    """Returns their standard deviation; `statistics` takes 50 times as long."""
    if not scores:
        return 0.0
    mean = fsum(scores) / len(scores)
    return sqrt(fsum((score - mean) ** 2 for score in scores) / len(scores))


# A condition: which attribute, and its value.
_Key: TypeAlias = tuple[str, str]


class _Rules:
    """Corrections summed up by what they ask of a video, so that a video is not held against each of them."""

    def __init__(self, corrections: Iterable[Correction]) -> None:
        self._blocked: set[_Key] = set()
        self._shifts: dict[_Key, float] = {}
        # Of single videos, with a further condition.
        self._narrow: dict[str, list[Correction]] = {}
        self._need_facts = False
        for each in corrections:
            if each.kind is not CorrectionKind.REWEIGHT:
                self._add(each)
        self._blocks_need_facts = any(attribute != _VIDEO for attribute, _ in self._blocked)

    def _add(self, correction: Correction) -> None:
        keys = _conditions(correction)
        self._need_facts |= correction.needs_facts
        if len(keys) > 1:
            self._narrow.setdefault(correction.video_id, []).append(correction)
        elif correction.kind is CorrectionKind.BLOCK:
            self._blocked.update(keys)
        else:
            for key in keys:
                self._shifts[key] = self._shifts.get(key, 0.0) + _signed(correction)

    def shift(self, video_id: str, video: VideoFacts | None) -> float | None:
        """Returns what is added to a video's score, in standard deviations; None when it is blocked."""
        if video is None and self._blocks_need_facts:
            return None
        keys = _keys(video_id, video if self._need_facts else None)
        if not self._blocked.isdisjoint(keys):
            return None
        total = sum([self._shifts.get(key, 0.0) for key in keys]) if self._shifts else 0.0
        for each in self._narrow.get(video_id, ()):
            meets = all(key in keys for key in _conditions(each))
            if each.kind is CorrectionKind.BLOCK and (meets or video is None):
                return None
            total += _signed(each) if meets else 0.0
        return total


def _signed(correction: Correction) -> float:
    return correction.value if correction.kind is CorrectionKind.BOOST else -correction.value


def _conditions(correction: Correction) -> list[_Key]:
    """Returns what a correction asks of a video."""
    asked = (
        (_VIDEO, correction.video_id),
        (_AUTHOR, correction.author_id),
        (_TAG, correction.tag),
        (_LANGUAGE, correction.language.lower()),
    )
    return [key for key in asked if key[1]]


def _keys(video_id: str, video: VideoFacts | None) -> list[_Key]:
    """Returns the conditions that a video meets."""
    if video is None:
        return [(_VIDEO, video_id)]
    tags = [(_TAG, tag) for tag in video.tags]
    return [(_VIDEO, video_id), (_AUTHOR, video.author_id), (_LANGUAGE, video.language.lower()), *tags]
