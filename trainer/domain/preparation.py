"""What a fit learns from, as expressions over the log: written once, in Ibis, for every engine that can hold a log.

The expressions speak of tables by name; `LOG`, `VIDEOS` and `EXPORT` say with which columns an engine provides them.
What depends on the engine (how sums are ordered, where a row comes from) must not show in the result: nothing here
depends on the order of rows, and what is compared is rounded to the float32 that a bundle holds before.
"""

import math
from typing import Final

import ibis
from ibis.expr import types as ir

from runtime.models.model_bundle import DISLIKED_RATING, LIKED_RATING
from trainer.domain.log import DAY_S, Recent
from trainer.domain.signal import Kind, SignalRules

# A click alone tells that the cover worked, not that the video did.
_POSITIVE_KINDS: Final = (Kind.LIKE, Kind.SHARE, Kind.COMMENT, Kind.FOLLOW)

# The interactions: user_index, item_index, Kind, seconds, 0 to 10 or null, epoch seconds.
LOG: Final = ibis.table(
    {
        "user": "int32",
        "video": "int32",
        "kind": "int8",
        "watch_time_s": "float32",
        "rating": "float32",
        "time_s": "float64",
    },
    name="log",
)

# Their lengths; 0 or less is unknown. Every video of the log is there.
VIDEOS: Final = ibis.table({"video": "int32", "duration_s": "float32"}, name="videos")

# The files of the export, as far as a fit reads them, and the numbers of ids.
EXPORT: Final = ibis.table(
    {
        "user_id": "string",
        "video_id": "string",
        "interaction_type": "string",
        "watch_time_s": "float64",
        "rating": "float64",
        "event_time": "timestamp('UTC')",
    },
    name="export",
)
USER_IDS: Final = ibis.table({"user_id": "string", "user": "int32"}, name="user_ids")
VIDEO_IDS: Final = ibis.table({"video_id": "string", "video": "int32"}, name="video_ids")


def coded() -> ir.Table:
    """Returns EXPORT in the columns of LOG; rows whose ids have no number are left out."""
    rows = EXPORT.inner_join(USER_IDS, "user_id").inner_join(VIDEO_IDS, "video_id")
    # By a whole second and its milliseconds: what an engine takes for the seconds of a time may hold parts of them.
    whole_s = rows.event_time.truncate("s").epoch_seconds().cast("float64")
    return rows.select(
        user=rows.user,
        video=rows.video,
        kind=rows.interaction_type.cases(*((kind.name, kind.value) for kind in Kind), else_=-1).cast("int8"),
        watch_time_s=rows.watch_time_s.cast("float32"),
        rating=rows.rating.cast("float32"),
        time_s=whole_s + rows.event_time.millisecond().cast("float64") / 1000.0,
    )


def within(log: ir.Table, since_s: float, until_s: float) -> ir.Table:
    """Returns the interactions from a time on and before another; either may be infinite, and means no bound then."""
    if math.isfinite(since_s):
        log = log.filter(log.time_s >= since_s)
    return log.filter(log.time_s < until_s) if math.isfinite(until_s) else log


def extent(log: ir.Table) -> ir.Table:
    """Returns one row: interactions, first_s and last_s (epoch seconds; null when there are none)."""
    return log.aggregate(interactions=log.count(), first_s=log.time_s.min(), last_s=log.time_s.max())


def per_day(log: ir.Table) -> ir.Table:
    """Returns how many interactions each UTC day with any has: day (days from 1970-01-01), interactions."""
    days = log.select(day=(log.time_s / DAY_S).floor().cast("int64"))
    return days.group_by("day").aggregate(interactions=days.count())


def pairs(log: ir.Table, rules: SignalRules, now_s: float) -> ir.Table:
    """Returns each user and video that met, once, in no particular order.

    Args:
        log: In the columns of LOG.
        rules: How interactions are weighed.
        now_s: Epoch seconds at which age is zero.

    Returns:
        user, video, weight (float64: that of all interactions of the two, negatives included) and liked_s (float64:
        epoch seconds of the newest positive one; null when there is none).
    """
    said = _with_durations(log)
    weighed = said.select(
        "user",
        "video",
        weight=_weight(said, rules, now_s),
        liked_s=ibis.ifelse(_is_positive(said, rules), said.time_s, None),
    )
    return weighed.group_by("user", "video").aggregate(weight=weighed.weight.sum(), liked_s=weighed.liked_s.max())


def recent_views(log: ir.Table, rules: SignalRules, recent: Recent, now_s: float) -> ir.Table:
    """Returns the long views of late of each video that has any, each view halved with age: video, views (float64)."""
    said = _with_durations(log)
    views = said.filter(_is_long_view(said, rules), _age_days(said, now_s) <= recent.days)
    counted = views.select("video", views=_halved(_age_days(views, now_s), recent.half_life_days))
    return counted.group_by("video").aggregate(views=counted.views.sum())


def sql_of(expression: ir.Table, dialect: str) -> str:
    """Returns an expression as SQL: "duckdb", "pyspark", "snowflake" and what else Ibis knows."""
    return str(ibis.to_sql(expression, dialect=dialect))


def _with_durations(log: ir.Table) -> ir.Table:
    rows = log.inner_join(VIDEOS, "video")
    return rows.mutate(watched_s=rows.watch_time_s.cast("float64"), duration_s=rows.duration_s.cast("float64"))


def _is_view(said: ir.Table) -> ir.BooleanValue:
    return said.kind == Kind.VIEW.value


def _is_long_view(said: ir.Table, rules: SignalRules) -> ir.BooleanValue:
    """A view of the bound's length, or of the whole video."""
    bound_s = rules.long_view_s
    enough_s = ibis.ifelse(said.duration_s > 0, ibis.least(said.duration_s, bound_s), bound_s)
    return _is_view(said) & (said.watched_s >= enough_s)


def _is_positive(said: ir.Table, rules: SignalRules) -> ir.BooleanValue:
    """Whether the user says to like the video."""
    liked = said.kind.isin([kind.value for kind in _POSITIVE_KINDS])
    rated = (said.kind == Kind.RATE.value) & (said.rating >= LIKED_RATING).fill_null(False)
    return liked | rated | _is_long_view(said, rules)


def _weight(said: ir.Table, rules: SignalRules, now_s: float) -> ir.FloatingValue:
    """The weight of the kind, times the watched share of a view or the sign of a rating, halved with age."""
    of_kind = said.kind.cases(*((kind.value, float(weight)) for kind, weight in rules.weights.items()), else_=0.0)
    share = ibis.cases(
        (_is_view(said), _watched_share(said, rules)),
        (said.kind == Kind.RATE.value, _rating_sign(said)),
        else_=1.0,
    )
    age_days = ibis.greatest(_age_days(said, now_s), 0.0)
    return of_kind * share * _halved(age_days, rules.half_life_days)


def _watched_share(said: ir.Table, rules: SignalRules) -> ir.FloatingValue:
    """Watched share of each video, 0 to 1; of an unknown length it is taken from a long view's bound."""
    whole_s = ibis.ifelse(said.duration_s > 0, said.duration_s, rules.long_view_s)
    return ibis.least(ibis.greatest(said.watched_s / whole_s, 0.0), 1.0)


def _rating_sign(said: ir.Table) -> ir.FloatingValue:
    liked = (said.rating >= LIKED_RATING).fill_null(False)
    disliked = (said.rating <= DISLIKED_RATING).fill_null(False)
    return ibis.cases((liked, 1.0), (disliked, -1.0), else_=0.0)


def _age_days(said: ir.Table, now_s: float) -> ir.FloatingValue:
    return (now_s - said.time_s) / DAY_S


def _halved(age_days: ir.FloatingValue, half_life_days: float) -> ir.FloatingValue:
    return ibis.literal(2.0) ** (-age_days / half_life_days)
