"""What users have seen and been sent, in memory and within bounds."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

# Most characters that a scorer is told: with more, two requests would not fit into one message.
_MOST_CHARS: Final = 262_144

# In bytes, measured: a user with an empty history, and something that was added to one, beside its ids.
_USER_BYTES: Final = 400
_ADDED_BYTES: Final = 160

# Most of each kind that are kept beside what was read.
_MOST_ADDED: Final = 200

# Parts of histories that are kept as sets at a time; 1.1 MB each for 10,000 videos.
_SETS: Final = 16

# A text of ids this long is worth a read once the model knows them: some 1,000 ids.
_LONG_CHARS: Final = 10_000

# Fewer characters are not worth a look for what is there twice.
_COMPACT_CHARS: Final = 4_096

# Longer than any read takes: as long is kept what a read under way may not bring.
_READ_S: Final = 60.0


class Rule(StrEnum):
    """Why a video does not come back."""

    WATCHED = "watched"
    SKIPPED = "skipped"
    HIDDEN = "hidden"
    SERVED = "served"


# By the name of an interaction's type. A click alone does not say that the video was watched.
RULES: Final[Mapping[str, Rule]] = {
    **dict.fromkeys(("VIEW", "LIKE", "SHARE", "COMMENT", "FOLLOW", "RATE"), Rule.WATCHED),
    "SKIP": Rule.SKIPPED,
    "HIDE": Rule.HIDDEN,
}


@dataclass(frozen=True, slots=True)
class HistoryPolicy:
    """What is kept off the pages, and how it is read.

    Args:
        windows_s: For how long, in seconds, by rule; a rule that is not there is off.
        kept_bytes: Most memory of all histories.
        wait_s: Longest wait of a page for a history that is not in memory, in seconds.
        whole_wait_s: The same for its older part, when no model keeps that off the page, in seconds.
        margin_s: Kept back of a request's time, in seconds.
        reads: Most reads at a time of what is newer; half as many of what is older.
        newer_s: What is younger is read first, in seconds: more than the time between two trainings costs nothing,
            as the model knows the rest.
        max_age_s: A history read longer ago is read again, behind the page, in seconds: windows move.
        max_older_age_s: The same of its older part.
        swap_s: For so long after another model has answered, the older of the two is heeded, in seconds.
    """

    windows_s: Mapping[Rule, float]
    kept_bytes: int = 30_000_000
    wait_s: float = 0.005
    whole_wait_s: float = 0.025
    margin_s: float = 0.005
    reads: int = 4
    newer_s: float = 86_400.0
    max_age_s: float = 600.0
    max_older_age_s: float = 3_600.0
    swap_s: float = 60.0

    @property
    def older_reads(self) -> int:
        """Most reads of older parts at a time."""
        return max(1, self.reads // 2)

    @property
    def all_reads(self) -> int:
        """Most reads at a time."""
        return self.reads + self.older_reads


class OlderHistory(NamedTuple):
    """What a user met longer ago; video ids parted by line feeds.

    Args:
        known: What the model knows, as it was trained after it.
        beyond: What came after the training.
    """

    known: str = ""
    beyond: str = ""


NOTHING_OLDER: Final = OlderHistory()


class FollowedPage(NamedTuple):
    """A row of what is served.

    Args:
        row: Its number; grows.
        user_id: To whom.
        video_ids: A JSON array.
    """

    row: int
    user_id: str
    video_ids: str


class _Added(NamedTuple):
    """Videos that the next read may not bring yet.

    Args:
        until: Until when they are kept beside it, in monotonic seconds.
        video_ids: The videos, parted by line feeds.
    """

    until: float
    video_ids: str


@dataclass(slots=True, eq=False)
class Seen(AbstractSet[str]):
    """What must not come back to a user. It grows while it is held.

    Its parts are texts, as scorers are told of them: a tenth of a set's memory. They are made sets only where videos
    are looked up, which is where no model keeps them off the page.

    Args:
        ids_of: Returns the ids of a text as a set.
        newer: What the user met or was served of late, parted by line feeds; one may be there twice.
        compact_at: At how many characters of it those that are there twice are taken out.
        older: What is older.
        since_s: From when on `newer` tells everything; `older` tells what is before, in Unix seconds.
        trained_s: Until when the model knew everything when `older` was read, in Unix seconds.
        newer_read: When `newer` was read, in monotonic seconds; None: never.
        older_read: When `older` was.
        served: What was served, newest last.
        followed: What was followed of late, newest last.
    """

    ids_of: Callable[[str], frozenset[str]]
    newer: str = ""
    compact_at: int = _COMPACT_CHARS
    older: OlderHistory = NOTHING_OLDER
    since_s: float = 0.0
    trained_s: float = 0.0
    newer_read: float | None = None
    older_read: float | None = None
    served: list[_Added] = field(default_factory=list)
    followed: list[_Added] = field(default_factory=list)

    def __contains__(self, video_id: object) -> bool:
        """Says whether a video must not come back."""
        return any(video_id in ids for ids in self._sets())

    def __iter__(self) -> Iterator[str]:
        """Goes through all of them."""
        return iter(self._all())

    def __len__(self) -> int:
        """Counts them."""
        return len(self._all())

    def __bool__(self) -> bool:
        """Says whether there are any; cheap."""
        return bool(self.newer) or any(self.older)

    def intersection(self, video_ids: Collection[str]) -> set[str]:
        """Returns which of these must not come back; ten times as fast as looking each up."""
        return set().union(*(ids.intersection(video_ids) for ids in self._sets()))

    @property
    def memory_bytes(self) -> int:
        """About how much memory it takes."""
        added = len(self.served) + len(self.followed)
        # What was added is there twice.
        texts = 2 * len(self.newer) + len(self.older.known) + len(self.older.beyond)
        return _USER_BYTES + _ADDED_BYTES * added + texts

    def beyond(self, trained_until_s: float) -> str:
        """Returns what a model does not know that was trained on everything until then; parted by line feeds."""
        texts = [self.newer]
        if trained_until_s < self.since_s:
            texts.append(self.older.beyond)
        if trained_until_s < self.trained_s:
            texts.append(self.older.known)
        joined = "\n".join(filter(None, texts))
        return joined if len(joined) <= _MOST_CHARS else joined[: joined.rindex("\n", 0, _MOST_CHARS + 1)]

    def add(self, video_ids: str) -> None:
        """Adds videos that the user met or was served, parted by line feeds."""
        self.newer = f"{self.newer}\n{video_ids}" if self.newer else video_ids
        if len(self.newer) > self.compact_at:
            self.renew([self.newer])

    def renew(self, texts: Iterable[str]) -> None:
        """Makes the newer part anew, of texts of ids parted by line feeds: each of them once."""
        self.newer = "\n".join(dict.fromkeys("\n".join(filter(None, texts)).split("\n")))
        # Who has been served all there is is served it again: at each doubling it costs next to nothing.
        self.compact_at = max(_COMPACT_CHARS, 2 * len(self.newer))

    def _sets(self) -> Iterator[frozenset[str]]:
        return (self.ids_of(text) for text in (self.newer, *self.older) if text)

    def _all(self) -> AbstractSet[str]:
        return frozenset().union(*self._sets())

    @classmethod
    def _from_iterable(cls, video_ids: Iterable[str]) -> AbstractSet[str]:  # type: ignore[override]
        return frozenset(video_ids)


NOTHING_SEEN: Final[AbstractSet[str]] = frozenset()


def among(seen: AbstractSet[str], video_ids: Sequence[str]) -> AbstractSet[str]:
    """Returns which of some videos must not come back."""
    if not seen:
        return NOTHING_SEEN
    return seen.intersection(video_ids) if isinstance(seen, Seen) else seen & set(video_ids)


class Histories:
    """The histories of users; those who were not here for longest are forgotten first.

    Args:
        policy: The bounds.
    """

    def __init__(self, policy: HistoryPolicy) -> None:
        self._policy = policy
        self._by_user: OrderedDict[str, Seen] = OrderedDict()
        self._ids_of = lru_cache(maxsize=_SETS)(_ids_of)
        self._bytes = 0

    @property
    def users(self) -> int:
        """How many users' histories are in memory."""
        return len(self._by_user)

    @property
    def memory_bytes(self) -> int:
        """About how much memory they take."""
        return self._bytes

    def of(self, user_id: str) -> Seen | None:
        """Returns what is known of a user who is here; None: nothing."""
        seen = self._by_user.get(user_id)
        if seen is not None:
            self._by_user.move_to_end(user_id)
        return seen

    def __contains__(self, user_id: str) -> bool:
        """Says whether a user is in memory."""
        return user_id in self._by_user

    def peek(self, user_id: str) -> Seen | None:
        """Returns what is known of a user who need not be here; None: nothing."""
        return self._by_user.get(user_id)

    def served(self, user_id: str, video_ids: Sequence[str], now: float) -> None:
        """Adds what a user was served here; it is kept whatever is read, until its window ends."""
        window_s = self._policy.windows_s.get(Rule.SERVED)
        if window_s is None:
            return
        seen = self._held(user_id)
        self._by_user.move_to_end(user_id)
        self._add(seen, seen.served, _Added(now + window_s, "\n".join(video_ids)), now)

    def followed(self, user_id: str, video_ids: Sequence[str], now: float) -> None:
        """Adds what a user did or was served elsewhere, if the user is in memory."""
        seen = self._by_user.get(user_id)
        if seen is None:
            return
        if "\n".join(video_ids) in (added.video_ids for added in reversed(seen.served)):
            return  # what is served here comes back from the database, too
        known = set(seen.newer.split("\n"))
        more = [video_id for video_id in video_ids if video_id not in known]
        if more:
            # As long as a read may be under way that does not bring it.
            self._add(seen, seen.followed, _Added(now + _READ_S, "\n".join(more)), now)

    def forget(self, user_id: str) -> None:
        """Forgets a user."""
        forgotten = self._by_user.pop(user_id, None)
        if forgotten is not None:
            self._bytes -= forgotten.memory_bytes
            # It may hold the user's videos as a set.
            self._ids_of.cache_clear()

    def read_newer(self, user_id: str, text: str, since_s: float, now: float) -> None:
        """Takes the newer part of a history as it was read.

        Args:
            user_id: The user.
            text: Video ids, parted by line feeds.
            since_s: From when on it tells everything, in Unix seconds.
            now: Monotonic seconds.
        """
        seen = self._held(user_id)
        before = seen.memory_bytes
        _renew(seen, text, now)
        seen.newer_read, seen.since_s = now, since_s
        self._grown(seen, before)

    def read_older(self, user_id: str, older: OlderHistory, until_s: float, trained_s: float, now: float) -> None:
        """Takes the older part of a history as it was read.

        Args:
            user_id: The user.
            older: The video ids.
            until_s: Until when it tells everything, in Unix seconds.
            trained_s: Where it was parted, in Unix seconds.
            now: Monotonic seconds.
        """
        seen = self._held(user_id)
        before = seen.memory_bytes
        seen.older, seen.since_s, seen.trained_s, seen.older_read = older, until_s, trained_s, now
        self._grown(seen, before)

    def _held(self, user_id: str) -> Seen:
        seen = self._by_user.get(user_id)
        if seen is None:
            seen = self._by_user[user_id] = Seen(self._ids_of)
            self._bytes += seen.memory_bytes
        return seen

    def _add(self, seen: Seen, kept: list[_Added], added: _Added, now: float) -> None:
        before = seen.memory_bytes
        over = next((place for place, each in enumerate(kept) if each.until > now), len(kept))
        del kept[: max(over, len(kept) + 1 - _MOST_ADDED)]
        kept.append(added)
        seen.add(added.video_ids)
        if len(seen.newer) > _MOST_CHARS:
            # While no read brings it down.
            _renew(seen, "", now)
        self._grown(seen, before)

    def _grown(self, seen: Seen, before: int) -> None:
        self._bytes += seen.memory_bytes - before
        while self._bytes > self._policy.kept_bytes and len(self._by_user) > 1:
            _, forgotten = self._by_user.popitem(last=False)
            self._bytes -= forgotten.memory_bytes


class TrainedUntil:
    """Until when every model that answered of late knows everything: while they are swapped, two answer in turn.

    Args:
        period_s: How long an answer counts at least, in seconds; at most twice as long.
    """

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._earlier: float | None = None
        self._lowest: float | None = None
        self._until = 0.0

    def heard(self, time_s: float, now: float) -> None:
        """Notes what a model says of itself, in Unix seconds; `now` in monotonic seconds."""
        if now >= self._until:
            self._earlier, self._lowest, self._until = self._lowest, None, now + self._period_s
        if self._lowest is None or time_s < self._lowest:
            self._lowest = time_s

    @property
    def time_s(self) -> float:
        """The lowest of what was heard, in Unix seconds; 0: nothing."""
        return min((time_s for time_s in (self._earlier, self._lowest) if time_s is not None), default=0.0)


def newer_is_due(seen: Seen, policy: HistoryPolicy, now: float) -> bool:
    """Says whether the newer part of a history is to be read; `now` in monotonic seconds."""
    return seen.newer_read is None or now - seen.newer_read >= policy.max_age_s


def older_is_due(seen: Seen, policy: HistoryPolicy, trained_s: float, now: float) -> bool:
    """Says whether the older part is to be read: it is missing, or old, or the model knows much more of it by now."""
    if seen.older_read is None or now - seen.older_read >= policy.max_older_age_s:
        return True
    return trained_s > seen.trained_s and len(seen.older.beyond) > _LONG_CHARS and trained_s < seen.since_s


def _renew(seen: Seen, text: str, now: float) -> None:
    """Makes the newer part anew: of a text of ids, and of what was added and still counts."""
    seen.renew([text, *(added.video_ids for added in (*seen.served, *seen.followed) if added.until > now)])


def _ids_of(text: str) -> frozenset[str]:
    return frozenset(text.split("\n"))
