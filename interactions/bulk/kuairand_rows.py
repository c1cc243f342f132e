"""How rows of KuaiRand become rows of ours: pure functions of one row.

An exposure (`events`) becomes:
- VIEW with its watch time, or SKIP when it was not played, or when it was no long view and ran for less than 3 s or
  less than a tenth of the video: that is somebody swiping on, and swiping takes 1 to 3 s.
- besides it CLICK, LIKE, FOLLOW, COMMENT, SHARE and HIDE for each feedback flag, at the same time.

A row of `history` has an order and no time. The newest of each of a user's lists happened at the user's `last_time_ms`,
each older one a minute earlier: about the pace of a session, and all that recency needs is the order.
- `long_view` becomes a VIEW of the whole video, for "long" means that or 18 s (18 s where the length is unknown).
- `like` becomes LIKE.
- `exposed` becomes a VIEW with watch time 0: shown, and not known to be watched. It is left out when the same user has
  a long view of the same video.
"""

import sys
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from operator import itemgetter
from typing import Final

from interactions.bulk.csv_source import BadRowError, BadRows, CsvFile, whole_number
from interactions.bulk.rows import MAX_WATCH_TIME_S, VIDEO_COLUMNS, Row, event_id, json_text, utc_from_ms

VIDEO_FILE_COLUMNS: Final = ("video_id", "author_id", "upload_dt", "visible_status", "video_duration", "tag")
USER_FILE_COLUMNS: Final = ("user_id",)
HISTORY_USER_COLUMNS: Final = ("user_id", "last_time_ms")
HISTORY_COLUMNS: Final = ("user_id", "kind", "back", "video_id")
_FEEDBACK: Final = {
    "is_click": "CLICK",
    "is_like": "LIKE",
    "is_follow": "FOLLOW",
    "is_comment": "COMMENT",
    "is_forward": "SHARE",
    "is_hate": "HIDE",
}
EVENT_COLUMNS: Final = ("user_id", "video_id", "time_ms", "play_time_ms", "duration_ms", "long_view", *_FEEDBACK)

_SKIP_BELOW_MS: Final = 3_000
_SKIP_BELOW_RATIO: Final = 0.1
_LONG_VIEW_S: Final = 18.0
_HISTORY_STEP_MS: Final = 60_000
_MAX_TIME_MS: Final = 4_102_444_800_000  # the year 2100
_MAX_DURATION_MS: Final = 10**10
_MAX_BACK: Final = 10_000
_DATA_SET_ZONE: Final = timezone(timedelta(hours=8))  # its dates are local, UTC+8
_HISTORY_KINDS: Final = {
    "exposed": ("VIEW", '{"import":"history","kind":"exposed"}'),
    "long_view": ("VIEW", '{"import":"history","kind":"long_view"}'),
    "like": ("LIKE", '{"import":"history","kind":"like"}'),
}
_FLAGS: Final = {"0": False, "1": True}


def video_row(file: CsvFile, row: Sequence[str]) -> Row:
    """Returns the `videos` row of a row of the video features."""
    video_id, author_id, uploaded, status, duration, tags = (
        row[place] for place in file.positions(*VIDEO_FILE_COLUMNS)
    )
    if not video_id:
        raise BadRowError("video_id is empty")
    return (
        video_id,
        "",
        author_id,
        _duration_s(duration),
        json_text([tag for tag in tags.split(",") if tag]),
        "",
        "",
        _upload_time(uploaded),
        status in ("", "0", "0.0"),
    )


def user_row(file: CsvFile, row: Sequence[str]) -> Row:
    """Returns the `users` row of a row of the user features; unknown features are left out."""
    features = {name: value for name, value in zip(file.header, row, strict=True) if value and name != "user_id"}
    user_id = row[file.header.index("user_id")]
    if not user_id:
        raise BadRowError("user_id is empty")
    return user_id, json_text(features), "", "", True


class EventRows:
    """Turns rows of `events` into interactions.

    Args:
        file: The file, for its columns.
        users: Ids of the known users.
        videos: Ids of the known videos.
        ingest_time: When the import runs.
    """

    def __init__(self, file: CsvFile, users: Collection[str], videos: Collection[str], ingest_time: datetime) -> None:
        self._places = dict(zip(EVENT_COLUMNS, file.positions(*EVENT_COLUMNS), strict=True))
        self._users = users
        self._videos = videos
        self._ingest_time = ingest_time

    def __call__(self, row: Sequence[str]) -> list[Row]:
        """Returns the interactions of one exposure.

        Raises:
            BadRowError: A value is wrong or an id unknown.
        """
        user_id = _known(row[self._places["user_id"]], self._users, "user_id")
        video_id = _known(row[self._places["video_id"]], self._videos, "video_id")
        event_time = utc_from_ms(self._number(row, "time_ms", _MAX_TIME_MS))
        content = ",".join(row)

        def interaction(kind: str, watch_time_s: float, metadata: str) -> Row:
            identity = (event_id(f"kuairand/events/{kind}/{content}"), user_id, video_id, kind, watch_time_s)
            return (*identity, event_time, self._ingest_time, None, None, metadata)

        kinds = [kind for column, kind in _FEEDBACK.items() if self._flag(row, column)]
        shown = interaction(*self._shown(row))
        return [shown, *(interaction(kind, 0.0, '{"import":"kuairand"}') for kind in kinds)]

    def _shown(self, row: Sequence[str]) -> tuple[str, float, str]:
        play_ms = self._number(row, "play_time_ms", _MAX_DURATION_MS)
        duration_ms = self._number(row, "duration_ms", _MAX_DURATION_MS)
        long_view = self._flag(row, "long_view")
        kind = "SKIP" if is_skip(play_ms, duration_ms, long_view=long_view) else "VIEW"
        watch_time_s = min(play_ms / 1000, MAX_WATCH_TIME_S)
        return kind, watch_time_s, f'{{"import":"kuairand","long_view":{int(long_view)}}}'

    def _number(self, row: Sequence[str], column: str, high: int) -> int:
        return whole_number(row[self._places[column]], column, 0, high)

    def _flag(self, row: Sequence[str], column: str) -> bool:
        text = row[self._places[column]]
        if text not in _FLAGS:
            raise BadRowError(f"{column} is {text!r}, not 0 or 1")
        return _FLAGS[text]


def is_skip(play_ms: int, duration_ms: int, *, long_view: bool) -> bool:
    """Tells whether an exposure was swiped away.

    Args:
        play_ms: How long it played.
        duration_ms: Length of the video; 0 is unknown.
        long_view: The data set's own judgement, which stands.
    """
    if play_ms == 0:
        return True
    return not long_view and (play_ms < _SKIP_BELOW_MS or play_ms < _SKIP_BELOW_RATIO * duration_ms)


class HistoryRows:
    """Turns rows of `history` into interactions.

    Args:
        file: The file, for its columns.
        last_times_ms: The time of each known user's newest history row.
        durations_s: The length of each known video; None is unknown.
        long_views: What `long_view_pairs` found in this file.
        ingest_time: When the import runs.
    """

    def __init__(
        self,
        file: CsvFile,
        last_times_ms: Mapping[str, int],
        durations_s: Mapping[str, float | None],
        long_views: Collection[tuple[str, str]],
        ingest_time: datetime,
    ) -> None:
        self._pick = itemgetter(*file.positions(*HISTORY_COLUMNS))
        self._last_times_ms = last_times_ms
        self._durations_s = durations_s
        self._long_views = long_views
        self._ingest_time = ingest_time

    def __call__(self, row: Sequence[str]) -> list[Row]:
        """Returns the interaction of one row, or nothing when a long view covers it.

        Raises:
            BadRowError: A value is wrong or an id unknown.
        """
        user_id, source_kind, back_text, video_id = self._pick(row)
        _known(user_id, self._last_times_ms, "user_id")
        _known(video_id, self._durations_s, "video_id")
        back = whole_number(back_text, "back", 0, _MAX_BACK)
        if source_kind not in _HISTORY_KINDS:
            raise BadRowError(f"kind is {source_kind[:40]!r}, not one of {', '.join(_HISTORY_KINDS)}")
        if source_kind == "exposed" and (user_id, video_id) in self._long_views:
            return []
        kind, metadata = _HISTORY_KINDS[source_kind]
        watch_time_s = self._whole_s(video_id) if source_kind == "long_view" else 0.0
        identity = event_id(f"kuairand/history/{user_id},{source_kind},{back},{video_id}")
        event_time = utc_from_ms(self._last_times_ms[user_id] - back * _HISTORY_STEP_MS)
        interaction = (identity, user_id, video_id, kind, watch_time_s, event_time)
        return [(*interaction, self._ingest_time, None, None, metadata)]

    def _whole_s(self, video_id: str) -> float:
        return min(self._durations_s[video_id] or _LONG_VIEW_S, MAX_WATCH_TIME_S)


def video_duration(row: Row) -> tuple[str, float | None]:
    """Returns the id and the length of a `videos` row."""
    duration_s = row[VIDEO_COLUMNS.index("duration_s")]
    return str(row[0]), duration_s if isinstance(duration_s, float) else None


def history_time(file: CsvFile, row: Sequence[str], users: Collection[str]) -> Row:
    """Returns a user and the time of that user's newest history row, epoch milliseconds."""
    user_place, time_place = file.positions(*HISTORY_USER_COLUMNS)
    last_time_ms = whole_number(row[time_place], "last_time_ms", _MAX_BACK * _HISTORY_STEP_MS, _MAX_TIME_MS)
    return _known(row[user_place], users, "user_id"), last_time_ms


def long_view_pairs(file: CsvFile) -> set[tuple[str, str]]:
    """Returns (user id, video id) of every long view in a history; the ids are shared, for there are many."""
    user_place, kind_place, _, video_place = file.positions(*HISTORY_COLUMNS)
    rows = (row for _, row in file.rows(BadRows()))
    return {
        (sys.intern(row[user_place]), sys.intern(row[video_place])) for row in rows if row[kind_place] == "long_view"
    }


def _known(key: str, known: Collection[str], column: str) -> str:
    if key not in known:
        raise BadRowError(f"{column} {key[:40]!r} is unknown")
    return key


def _duration_s(text: str) -> float | None:
    if not text:
        return None
    try:
        duration_ms = float(text)
    except ValueError:
        raise BadRowError(f"video_duration is {text!r}, not a number") from None
    if not 0 <= duration_ms <= _MAX_DURATION_MS:
        raise BadRowError(f"video_duration is {text}, not in 0..{_MAX_DURATION_MS}")
    return duration_ms / 1000 or None


def _upload_time(text: str) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=_DATA_SET_ZONE).astimezone(UTC)
    except ValueError:
        raise BadRowError(f"upload_dt is {text!r}, not YYYY-MM-DD") from None
