"""What users say they did, tied to what was served: which claim holds, and what it changes; pure."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Final, NamedTuple, TypeAlias

from insights.domain.outcome import (
    ACCEPTED,
    ADDING,
    Deeds,
    Outcome,
    confidence_match,
    did_any,
    joined,
    outcome_of,
    was_successful,
)
from runtime.served_token import verify

# As old as the contract lets an interaction be. Between the window's end and this, an outcome is still corrected.
COUNTS_FOR: Final = timedelta(days=30)


class Verdict(StrEnum):
    """What becomes of a claim. The last four are refused."""

    TIED = "tied"
    REPEATED = "repeated"  # tied, and nothing new: told again, or replayed
    UNTIED = "untied"  # names no page: what users do elsewhere
    WAITING = "waiting"  # its page is not known yet
    FORGED = "forged"  # its proof is not one, or cannot be checked for want of a page
    FOREIGN = "foreign"  # another user's page, or one without this video
    LATE = "late"  # it happened too long after the video was served
    UNKNOWN = "unknown"  # its page never came


class Key(NamedTuple):
    """A served video."""

    recommendation_id: str
    position: int


class Claim(NamedTuple):
    """What somebody says was done with a served video. Absent text is empty.

    Args:
        user_id: Who did it; empty: a service says so, which speaks for all users.
        video_id: With which video.
        recommendation_id: On which page.
        feed_session_id: In which session.
        served_token: The proof of it.
        deeds: What was done.
        happened_at: When.
        arrived_at: When it was heard of first.
    """

    user_id: str
    video_id: str
    recommendation_id: str
    feed_session_id: str
    served_token: str
    deeds: Deeds
    happened_at: datetime
    arrived_at: datetime


class Entry(NamedTuple):
    """A served video on the ledger.

    Args:
        key: Which.
        user_id: To whom it was served.
        group_id: The totals it counts in.
        served_at: When.
        confidence: Its place on the page as a share, 1 for the first.
        outcome: What it stands at.
        deeds: What was done.
    """

    key: Key
    user_id: str
    group_id: int
    served_at: datetime
    confidence: float
    outcome: Outcome
    deeds: Deeds


# A video of a page, by the ids of both.
Place: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger knows of some claims.

    Args:
        entries: The served videos they may mean.
        pages: Which of the pages they name are on the ledger.
        session_pages: The pages of the sessions they name, the newest first.
    """

    entries: Mapping[Place, Entry]
    pages: Collection[str]
    session_pages: Mapping[str, Sequence[str]]


@dataclass(slots=True)
class Settled:
    """What some claims change.

    Args:
        entries: Changed entries, as they are now.
        totals: What is added, by group and count.
        verdicts: How many claims were judged how.
        waiting: Those whose page is not known yet.
    """

    entries: dict[Key, Entry] = field(default_factory=dict)
    totals: dict[int, Counter[str]] = field(default_factory=dict)
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    waiting: list[Claim] = field(default_factory=list)


def settle(claims: Iterable[Claim], known: Known, keys: Sequence[bytes]) -> Settled:
    """Judges claims and joins what holds.

    Args:
        claims: Any, in any order.
        known: What the ledger knows of them.
        keys: The secrets that served tokens are made with.
    """
    settled = Settled()
    for claim in claims:
        verdict, entry = tie(claim, known, keys)
        if entry is not None:
            entry = settled.entries.get(entry.key, entry)
            verdict = _join(settled, entry, claim.deeds)
        settled.verdicts[verdict] += 1
        if verdict is Verdict.WAITING:
            settled.waiting.append(claim)
    return settled


def tie(claim: Claim, known: Known, keys: Sequence[bytes]) -> tuple[Verdict, Entry | None]:
    """Returns the entry that a claim is about, or why there is none.

    A claim that names its page is about that page or none; one that names its session, about the newest page of it
    with the video.
    """
    if claim.recommendation_id:
        verdict, entry = _on_page(claim, known, keys)
    elif claim.feed_session_id:
        verdict, entry = _in_session(claim, known, keys)
    else:
        return (Verdict.FORGED if claim.served_token else Verdict.UNTIED), None
    if entry is not None and claim.happened_at > entry.served_at + COUNTS_FOR:
        return Verdict.LATE, None
    return verdict, entry


def counted(entry: Entry) -> Counter[str]:
    """Returns what an entry is in the totals, beside being served."""
    deeds = entry.deeds
    successful = bool(was_successful(entry.outcome, deeds.rating))
    held = Counter(dict.fromkeys(_names(entry.outcome, deeds.actions, successful=successful), 1))
    held["watch_time_ms"] = round(deeds.watch_time_s * 1000)
    held["confidence_match_ppm"] = _match_ppm(entry.confidence, was_successful(entry.outcome, deeds.rating))
    return held


def ignored(closed: Iterable[tuple[int, float]]) -> dict[int, Counter[str]]:
    """Returns what is added to the totals, by group and count, when nothing was done within the window.

    Args:
        closed: The group and the confidence of each entry that was pending.
    """
    totals: dict[int, Counter[str]] = {}
    for group_id, confidence in closed:
        match_ppm = _match_ppm(confidence, successful=False)
        totals.setdefault(group_id, Counter()).update(pending=-1, ignored=1, confidence_match_ppm=match_ppm)
    return totals


def _match_ppm(confidence: float, successful: bool | None) -> int:
    match = confidence_match(confidence, successful)
    return 0 if match is None else round(match * 1_000_000)


@cache
def _names(outcome: Outcome, actions: int, *, successful: bool) -> tuple[str, ...]:
    facts = {
        outcome.value: True,
        "ever_consumed": did_any(actions, ACCEPTED),
        "ever_added": did_any(actions, ADDING),
        "ever_rated": did_any(actions, (Outcome.RATED,)),
        "successful": successful,
    }
    return tuple(name for name, holds in facts.items() if holds)


def _on_page(claim: Claim, known: Known, keys: Sequence[bytes]) -> tuple[Verdict, Entry | None]:
    if not _proven(claim, claim.recommendation_id, keys):
        return Verdict.FORGED, None
    entry = known.entries.get((claim.recommendation_id, claim.video_id))
    if entry is None:
        return (Verdict.FOREIGN if claim.recommendation_id in known.pages else Verdict.WAITING), None
    return (Verdict.TIED, entry) if claim.user_id in ("", entry.user_id) else (Verdict.FOREIGN, None)


def _in_session(claim: Claim, known: Known, keys: Sequence[bytes]) -> tuple[Verdict, Entry | None]:
    pages = known.session_pages.get(claim.feed_session_id, ())
    found = [known.entries[page, claim.video_id] for page in pages if (page, claim.video_id) in known.entries]
    if not found:
        return Verdict.WAITING, None
    own = [entry for entry in found if entry.user_id == claim.user_id]
    if not own:
        return Verdict.FOREIGN, None
    proven = next((entry for entry in own if _proven(claim, entry.key.recommendation_id, keys)), None)
    return (Verdict.TIED, proven) if proven else (Verdict.FORGED, None)


def _join(settled: Settled, entry: Entry, deeds: Deeds) -> Verdict:
    both = joined(entry.deeds, deeds)
    if both == entry.deeds:
        return Verdict.REPEATED
    outcome = outcome_of(both, window_over=entry.outcome is not Outcome.PENDING)
    changed = entry._replace(deeds=both, outcome=outcome)
    totals = settled.totals.setdefault(entry.group_id, Counter())
    totals.update(counted(changed))
    totals.subtract(counted(entry))
    settled.entries[entry.key] = changed
    return Verdict.TIED


def _proven(claim: Claim, recommendation_id: str, keys: Sequence[bytes]) -> bool:
    """Says whether the proof of a claim holds for a page; one without a proof is believed."""
    token = claim.served_token
    named = {"recommendation_id": recommendation_id, "user_id": claim.user_id, "video_id": claim.video_id}
    return not token or any(verify(token, key, **named) for key in keys)
