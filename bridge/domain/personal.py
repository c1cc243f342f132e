"""When a user's own list, made beforehand, may be read and may serve."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import isfinite
from typing import Final, NamedTuple

from bridge.domain.filters import VideoFacts
from bridge.domain.ladder import Rung, RungName, Skip, Skipped
from bridge.domain.outcome import FallbackReason, Source

# A wait shorter than this is not worth a read.
_SHORTEST_WAIT_S: Final = 0.001

# Too much to do is no time for a read.
_NEVER_READ_FOR: Final = frozenset({FallbackReason.OVERLOAD})


@dataclass(frozen=True, slots=True)
class PersonalPolicy:
    """How a user's own list is read.

    Args:
        max_age_s: A list made longer ago does not serve, in seconds. Two nights: one failed run of the job that
            makes the lists must not take them away.
        wait_s: Longest wait of a request for its list, in seconds. A read takes 1 to 2 ms.
        margin_s: Kept back for making the page, in seconds: half of what the fallback has.
        reads: Most reads at a time; a request beyond them does without.
        pause_s: After a failure the store is left alone for this long, in seconds.
        patience: So many late reads in a row count as a failure.
        videos: Most videos read of a list.
    """

    max_age_s: float = 172_800.0
    wait_s: float = 0.005
    margin_s: float = 0.005
    reads: int = 4
    pause_s: float = 1.0
    patience: int = 3
    videos: int = 200


class PersonalRow(NamedTuple):
    """A video of a user's list.

    Args:
        video_id: The video; active.
        score: Its score.
        algorithm: What ranked it.
        model_version: The model that ranked it.
        generated_time: When, in Unix seconds.
        expiry_time: Until when it holds, in Unix seconds.
    """

    video_id: str
    score: float
    algorithm: str
    model_version: str
    generated_time: float
    expiry_time: float


@dataclass(frozen=True, slots=True)
class UserList:
    """What the store has for a user.

    Args:
        rows: The videos, best first.
        facts: What the catalogue says of them; empty unless it was asked for.
    """

    rows: Sequence[PersonalRow] = ()
    facts: Mapping[str, VideoFacts] = field(default_factory=dict)


def wait_s(policy: PersonalPolicy, reason: FallbackReason, left_s: float) -> float | Skip:
    """Returns how long a request may wait for its list, in seconds, or why not at all.

    Args:
        policy: The limits.
        reason: Why the model did not serve.
        left_s: What is left of the request's time, in seconds.
    """
    if reason in _NEVER_READ_FOR:
        return Skip.BUSY
    longest_s = min(policy.wait_s, left_s - policy.margin_s)
    return longest_s if longest_s >= _SHORTEST_WAIT_S else Skip.TIMEOUT


def personal_rung(found: UserList, now: float, max_age_s: float) -> Rung | Skipped:
    """Makes the rung of a user's list, of what one model ranked last; `now` in Unix seconds."""
    if not found.rows:
        return skipped(Skip.NONE)
    fresh = [row for row in found.rows if _fresh(row, now, max_age_s)]
    if not fresh:
        return skipped(Skip.STALE)
    newest = max(fresh, key=lambda row: row.generated_time)
    by_newest = (newest.algorithm, newest.model_version)
    rows = [row for row in fresh if (row.algorithm, row.model_version) == by_newest]
    return Rung(
        RungName.PRECOMPUTED,
        Source.PRECOMPUTED,
        newest.algorithm,
        [row.video_id for row in rows],
        list(accumulate((row.score for row in rows), min)),  # the rank decides; a page's scores never rise
        newest.model_version,
        found.facts,
    )


def skipped(why: Skip) -> Skipped:
    """Returns the rung of the user's list as one that cannot serve."""
    return Skipped(RungName.PRECOMPUTED, why)


def _fresh(row: PersonalRow, now: float, max_age_s: float) -> bool:
    return row.expiry_time > now and now - row.generated_time <= max_age_s and isfinite(row.score)
