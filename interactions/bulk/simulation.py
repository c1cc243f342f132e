"""A made-up catalogue and log for whoever has no data yet: tastes, popularity, position bias, watch time.

The same size, seed and end give the same rows. What it is made of:
- Each video is mostly about one topic, each user likes a few; how well both agree is their *match*.
- Popularity is Zipf-like: the video of rank r is shown in proportion to r^-0.8, whatever the user likes.
- A session is a page of videos drawn by popularity and match together, without repeats. Lower places get less
  attention.
- Match, the video's quality and chance decide how much of it is watched, and match the likes, shares and the rest.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from interactions.bulk.rows import Row, event_id, json_text

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TOPICS: Final = (
    *("cooking", "football", "music", "dance", "gaming", "travel", "pets", "fitness"),
    *("comedy", "science", "fashion", "cars", "art", "news", "gardening", "film"),
)
# Country, language and share of the users (and of the videos).
PLACES: Final = (("US", "en", 0.35), ("GB", "en", 0.15), ("DE", "de", 0.2), ("FR", "fr", 0.15), ("BR", "pt", 0.15))
_PLACE_SHARES: Final = [share for _, _, share in PLACES]
_LANGUAGES: Final = np.array([language for _, language, _ in PLACES])
DEVICES: Final = ("ios", "android")
AGE_GROUPS: Final = ("16-24", "25-34", "35-49", "50+")

PAGE_SIZE: Final = 8
_SESSIONS_A_DAY: Final = 0.4
_ZIPF_EXPONENT: Final = 0.8
_VIDEOS_AN_AUTHOR: Final = 5
# How much a match of one standard deviation counts when a page is drawn, in units of log popularity.
_MATCH_IN_DRAW: Final = 1.0
_OTHER_LANGUAGE_IN_DRAW: Final = -3.0
_ATTENTION_LOSS_A_PLACE: Final = 0.06
_SKIP_BELOW_S: Final = 3.0
_SKIP_BELOW_RATIO: Final = 0.1
_MAX_REPLAY: Final = 1.4
_SWIPE_S: Final = 1.0
# Hour of day (UTC) by how many sessions start in it: a quiet night and a busy evening.
_HOURS: Final = np.array([2, 1, 1, 1, 1, 2, 3, 4, 4, 4, 4, 5, 6, 5, 5, 5, 6, 7, 9, 10, 10, 9, 6, 4], dtype=np.float64)
# Log odds of each reaction to a video that was watched: at an average match, and by one standard deviation more.
_REACTIONS: Final = {"CLICK": (-1.0, 0.8), "LIKE": (-4.0, 1.2), "SHARE": (-6.0, 1.0), "COMMENT": (-5.5, 0.8)}
_FOLLOW_AFTER_LIKE: Final = 0.1
_HIDE: Final = (-5.5, -1.0)


@dataclass(frozen=True)
class Size:
    """How much to make.

    Attributes:
        users: Number of users.
        videos: Number of videos.
        days: Length of the log.
    """

    users: int
    videos: int
    days: int


@dataclass(frozen=True)
class World:
    """Who there is and what there is, before anybody watches.

    Attributes:
        match: How well each video suits each user, standardised, shape (users, videos).
        draw: Log odds of each video on each user's pages, shape (users, videos).
        quality: What everybody finds, standard normal, shape (videos,).
        duration_s: Lengths, shape (videos,).
        topics: Main topic and second topic of each video, shape (videos, 2).
        user_places: Index into PLACES, shape (users,).
        video_places: Index into PLACES, shape (videos,).
        activity: Sessions a day, shape (users,).
        published_days: Age of each video at the log's start, in days; negative: published during it.
    """

    match: Floats
    draw: Floats
    quality: Floats
    duration_s: Floats
    topics: Ints
    user_places: Ints
    video_places: Ints
    activity: Floats
    published_days: Floats


class Simulation:
    """One reproducible catalogue and log.

    Args:
        size: How much to make.
        seed: Chooses among the worlds; 0 or more.
        until: When the log ends, UTC; the newest events are shortly before.
    """

    def __init__(self, size: Size, seed: int, until: datetime) -> None:
        self._size = size
        self._until = until
        self._start = until - timedelta(days=size.days)
        self._name = f"simulated/{size}/{seed}/{until.isoformat()}"
        # One stream each, so that a longer log has the same users and videos.
        world, people, log = np.random.default_rng(seed).spawn(3)
        self._world = make_world(size, world)
        self._people = people
        self._log = log

    def video_rows(self) -> list[Row]:
        """Returns the rows of `videos`."""
        return [self._video_row(index) for index in range(self._size.videos)]

    def user_rows(self) -> list[Row]:
        """Returns the rows of `users`."""
        devices = self._people.choice(DEVICES, self._size.users)
        ages = self._people.choice(AGE_GROUPS, self._size.users)
        people = zip(devices.tolist(), ages.tolist(), self._world.user_places.tolist(), strict=True)
        return [_user_row(index, *person) for index, person in enumerate(people)]

    def interaction_rows(self) -> Iterator[Row]:
        """Yields the rows of `user_interactions`, user by user within each round of sessions."""
        sessions = self._sessions()
        shown = np.zeros((self._size.users, self._size.videos), dtype=bool)
        for number, (users, start_s) in enumerate(sessions):
            pages = self._pages(users, start_s, shown)
            shown[users[:, None], pages] = True
            yield from self._watch(number, users, pages, start_s)

    def _sessions(self) -> Iterator[tuple[Ints, Floats]]:
        """Yields the nth session of all users who have one: (user indexes, starts in seconds into the log)."""
        most = self._size.videos // (2 * PAGE_SIZE)
        counts = np.clip(self._log.poisson(self._world.activity * self._size.days), 1, max(most, 1))
        starts = self._starts((self._size.users, int(counts.max())))
        starts[np.arange(starts.shape[1])[None, :] >= counts[:, None]] = np.inf
        starts.sort(axis=1)
        for number in range(starts.shape[1]):
            users = np.flatnonzero(counts > number)
            yield users, starts[users, number]

    def _starts(self, shape: tuple[int, int]) -> Floats:
        # The last quarter of an hour stays free: a session ends before the log does.
        length_s = self._size.days * 86_400 - 900
        day = self._log.integers(0, self._size.days, shape)
        hour = self._log.choice(len(_HOURS), shape, p=_HOURS / _HOURS.sum())
        midnight_s = self._start.hour * 3600 + self._start.minute * 60 + self._start.second
        of_day_s = (hour * 3600 + self._log.random(shape) * 3600 - midnight_s) % 86_400
        start_s: Floats = np.minimum(day * 86_400 + of_day_s, length_s - self._log.random(shape) * 3600)
        return start_s

    def _pages(self, users: Ints, start_s: Floats, shown: NDArray[np.bool_]) -> Ints:
        """Draws a page for each session: Gumbel top-k is drawing without repeats in proportion to exp(log odds)."""
        odds = self._world.draw[users] + self._log.gumbel(size=(len(users), self._size.videos))
        age_days = self._world.published_days[None, :] + start_s[:, None] / 86_400
        odds[shown[users] | (age_days < 0)] = -np.inf
        best: Ints = np.argpartition(-odds, PAGE_SIZE, axis=1)[:, :PAGE_SIZE]
        order = np.argsort(-np.take_along_axis(odds, best, axis=1), axis=1)
        return np.take_along_axis(best, order, axis=1)

    def _watch(self, number: int, users: Ints, pages: Ints, start_s: Floats) -> Iterator[Row]:
        match = self._world.match[users[:, None], pages]
        liking = 1.5 * match + 0.6 * self._world.quality[pages] + self._log.normal(0, 1, pages.shape) - 0.5
        attended = self._log.random(pages.shape) < 0.95 - _ATTENTION_LOSS_A_PLACE * np.arange(pages.shape[1])
        ratio = np.where(attended, _MAX_REPLAY * _sigmoid(liking), self._log.random(pages.shape) * _SKIP_BELOW_RATIO)
        watched_s = ratio * self._world.duration_s[pages]
        skipped = (ratio < _SKIP_BELOW_RATIO) | (watched_s < _SKIP_BELOW_S)
        at_s = start_s[:, None] + np.cumsum(watched_s + _SWIPE_S, axis=1)
        reactions = self._react(match, skipped)
        for row, user in enumerate(users.tolist()):
            session = f"sim-u{user + 1}-{number + 1}"
            for place, video in enumerate(pages[row].tolist()):
                kinds = ["SKIP" if skipped[row, place] else "VIEW"]
                kinds += [kind for kind, hits in reactions.items() if hits[row, place]]
                for kind in kinds:
                    watch_time_s = round(float(watched_s[row, place]), 3) if kind in ("VIEW", "SKIP") else 0.0
                    yield self._interaction(
                        user, video, kind, watch_time_s, float(at_s[row, place]), session, place + 1
                    )

    def _react(self, match: Floats, skipped: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
        def happens(base: float, slope: float) -> NDArray[np.bool_]:
            return self._log.random(match.shape) < _sigmoid(base + slope * match)

        reactions = {kind: happens(*odds) & ~skipped for kind, odds in _REACTIONS.items()}
        reactions["FOLLOW"] = reactions["LIKE"] & (self._log.random(match.shape) < _FOLLOW_AFTER_LIKE)
        reactions["HIDE"] = happens(*_HIDE) & skipped
        return reactions

    def _interaction(
        self, user: int, video: int, kind: str, watch_time_s: float, at_s: float, session: str, place: int
    ) -> Row:
        identity = event_id(f"{self._name}/{session}/{place}/{kind}")
        event_time = min(self._start + timedelta(milliseconds=round(at_s * 1000)), self._until)
        what = (identity, f"u{user + 1}", f"v{video + 1}", kind, watch_time_s)
        return (*what, event_time, self._until, session, place, '{"import":"simulated"}')

    def _video_row(self, index: int) -> Row:
        world = self._world
        topic, second = (TOPICS[place] for place in world.topics[index])
        country, language, _ = PLACES[world.video_places[index]]
        published = self._start - timedelta(seconds=round(float(world.published_days[index]) * 86_400))
        return (
            f"v{index + 1}",
            f"{topic.capitalize()} clip {index + 1}",
            f"a{index // _VIDEOS_AN_AUTHOR + 1}",
            float(world.duration_s[index]),
            json_text(sorted({topic, second})),
            language,
            country,
            min(published, self._until),
            True,
        )


def make_world(size: Size, random: np.random.Generator) -> World:
    """Draws users, videos and how they suit each other.

    Args:
        size: How many.
        random: Where chance comes from.
    """
    tastes = random.dirichlet(np.full(len(TOPICS), 0.15), size.users)
    subjects = random.dirichlet(np.full(len(TOPICS), 0.1), size.videos)
    match = _standardised(tastes @ subjects.T)
    quality = random.normal(0, 1, size.videos)
    # Good videos tend to be popular, with a great deal of luck.
    ranks = np.argsort(np.argsort(-(quality + random.normal(0, 2, size.videos)))) + 1.0
    user_places = random.choice(len(PLACES), size.users, p=_PLACE_SHARES)
    video_places = random.choice(len(PLACES), size.videos, p=_PLACE_SHARES)
    foreign = _LANGUAGES[user_places][:, None] != _LANGUAGES[video_places][None, :]
    draw = -_ZIPF_EXPONENT * np.log(ranks)[None, :] + _MATCH_IN_DRAW * match
    return World(
        match=match,
        draw=draw + np.where(foreign, _OTHER_LANGUAGE_IN_DRAW, 0.0),
        quality=quality,
        duration_s=np.clip(random.lognormal(3.0, 0.7, size.videos), 5, 180).round(1),
        topics=np.argsort(-subjects, axis=1)[:, :2],
        user_places=user_places,
        video_places=video_places,
        activity=_SESSIONS_A_DAY * random.lognormal(0, 0.8, size.users),
        published_days=random.uniform(-0.8 * size.days, 60, size.videos),
    )


def _user_row(index: int, device: str, age_group: str, place: int) -> Row:
    country, language, _ = PLACES[place]
    features = json_text({"age_group": age_group, "device": device})
    return f"u{index + 1}", features, f"{language}-{country}", country, True


def _standardised(values: Floats) -> Floats:
    standardised: Floats = (values - values.mean()) / values.std()
    return standardised


def _sigmoid(values: Floats) -> Floats:
    odds: Floats = np.exp(-values)
    return 1 / (1 + odds)
