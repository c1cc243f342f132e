"""Users who act on pages, and what happens to their words on the way; knows by itself what must come of it."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from interactions.domain.event import InteractionType
from interactions.domain.served_page import Served
from interactions.sink.ports import StoredEvent
from tests.integration.insights.books import event, page, token

# What users do, with the outcome that it makes; the lowest first.
RANKS = {
    "SKIP": "ignored",
    "CLICK": "consumed",
    "LIKE": "liked",
    "FOLLOW": "added",
    "SHARE": "shared",
    "HIDE": "hidden",
}
ALGORITHMS = ("lightfm-warp", "trending", "editorial")

# How often what befalls a word, and the verdict on it; None: it never arrives.
FATES: dict[str, tuple[int, str | None]] = {
    "plain": (40, "honest"),
    "by session": (10, "honest"),
    "unproven": (10, "honest"),
    "before its page": (10, "honest"),
    "long after": (5, "honest"),
    "twice": (5, "honest"),
    "lost": (5, None),
    "forged": (3, "forged"),
    "stolen": (3, "forged"),
    "astray": (3, "foreign"),
    "stale": (3, "late"),
    "of nothing": (3, "untied"),
}


@dataclass
class Way:
    """One page with what arrives, and when.

    Args:
        page: The page.
        before: Events that arrive before it.
        after: Those that arrive soon after it.
        long_after: Those that arrive when its window is over.
    """

    page: Served
    before: list[StoredEvent] = field(default_factory=list)
    after: list[StoredEvent] = field(default_factory=list)
    long_after: list[StoredEvent] = field(default_factory=list)


class Users:
    """Acts on page after page.

    Args:
        videos: How many videos a page has.
        seed: Of the chance.
    """

    def __init__(self, videos: int, seed: int) -> None:
        self._videos = videos
        self._chance = random.Random(seed)
        self.outcomes: dict[tuple[str, int], str] = {}
        self.algorithms: dict[str, str] = {}
        self.verdicts: Counter[str] = Counter()
        self.fates: Counter[str] = Counter()

    def scroll(self, pages: int, time: datetime) -> Iterator[Way]:
        """Yields so many pages."""
        for _ in range(pages):
            number = len(self.algorithms)
            name, algorithm = f"r{number}", self._chance.choice(ALGORITHMS)
            self.algorithms[name] = algorithm
            fields: dict[str, Any] = {
                "userId": f"u{number % 50}",
                "feedSessionId": f"s{number}",
                "algorithm": algorithm,
            }
            video_ids = [f"v{number % 7}-{place}" for place in range(self._videos)]
            way = Way(page(name, video_ids, time, **fields))
            for place, video_id in enumerate(video_ids, start=1):
                done = self._chance.choices([*RANKS], k=self._chance.choice((0, 0, 0, 0, 0, 0, 0, 1, 2)))
                honest = [kind for kind in done if self._tell(way, video_id, kind, time)]
                highest = max(honest, key=[*RANKS].index, default="SKIP")
                self.outcomes[name, place] = RANKS[highest]
            yield way

    def _tell(self, way: Way, video_id: str, kind: str, time: datetime) -> bool:
        """Sends one word on its way; says whether it must count."""
        (fate,) = self._chance.choices([*FATES], [often for often, _ in FATES.values()])
        self.fates[fate] += 1
        _, verdict = FATES[fate]
        name, user_id = way.page.key, way.page.page.user_id
        proof = token(name, user_id, video_id)
        changes: dict[str, dict[str, Any]] = {
            "by session": {"recommendation_id": "", "feed_session_id": way.page.page.feed_session_id},
            "unproven": {"served_token": ""},
            "forged": {"served_token": proof[::-1]},
            "stolen": {"user_id": "thief"},
            "astray": {"user_id": "stranger", "served_token": ""},
            "stale": {"time": time + timedelta(days=31)},
            "of nothing": {"recommendation_id": "", "served_token": ""},
        }
        told: dict[str, Any] = {
            "user_id": user_id,
            "video_id": video_id,
            "recommendation_id": name,
            "served_token": proof,
            "time": time,
        }
        made = event(InteractionType(kind), **{**told, **changes.get(fate, {})})
        arrivals = {"before its page": way.before, "long after": way.long_after, "lost": [], "stale": way.long_after}
        arrives = arrivals.get(fate, way.after)
        arrives.append(made)
        if fate == "twice":  # the same once more, and a copy that says that it is another
            arrives += [made, event(InteractionType(kind), **told)]
        if verdict:
            self.verdicts[verdict] += 2 if fate == "twice" else 1
        return verdict == "honest"
