"""The tables, for PostgreSQL and SQLite alike; `migrations/` creates them.

Ids from outside are strings of at most 128 characters. No foreign keys from facts to the catalogue: an
interaction with a video that nobody has announced yet is still a fact worth keeping.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

ID_CHARS = 128


class UtcDateTime(TypeDecorator[datetime]):
    """A UTC time. SQLite drops the zone, so it is put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Turns any aware time into UTC; a naive one is a bug."""
        if value is not None and value.tzinfo is None:
            raise ValueError("a time without a zone")
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Returns an aware time."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# JSONB where it exists: factor fields are queried by insights. What is absent is SQL's NULL, not JSON's.
Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
Id = String(ID_CHARS)
# SQLite numbers rows by itself only for INTEGER, not for BIGINT.
RowNumber = BigInteger().with_variant(Integer(), "sqlite")

videos = Table(
    "videos",
    metadata,
    Column("video_id", Id, primary_key=True),
    Column("title", Text, nullable=False, server_default=""),
    Column("author_id", Id, nullable=False, server_default=""),
    Column("duration_s", Float),
    Column("tags", Json, nullable=False),
    Column("language", String(35), nullable=False, server_default=""),
    Column("country", String(2), nullable=False, server_default=""),
    Column("published_at", UtcDateTime, index=True),
    Column("is_active", Boolean, nullable=False),
)

WITHHELD = text("(NOT personalised OR erased_at IS NOT NULL)")

users = Table(
    "users",
    metadata,
    Column("user_id", Id, primary_key=True),
    Column("features", Json, nullable=False),
    Column("locale", String(35), nullable=False, server_default=""),
    Column("country", String(2), nullable=False, server_default=""),
    # False: nothing personal is served, nothing is stored.
    Column("personalised", Boolean, nullable=False),
    # What happened until then is dropped, whenever it arrives.
    Column("erased_at", UtcDateTime),
    # Few are withheld, and every batch that is written asks for them.
    Index("ix_users_withheld", "user_id", postgresql_where=WITHHELD, sqlite_where=WITHHELD),
)

_TOLD_VIEWS = text("interaction_type = 'VIEW' AND feed_session_id IS NOT NULL")

user_interactions = Table(
    "user_interactions",
    metadata,
    Column("id", RowNumber, primary_key=True, autoincrement=True),
    Column("event_id", String(36), nullable=False, unique=True),
    Column("user_id", Id, nullable=False),
    Column("video_id", Id, nullable=False),
    Column("interaction_type", String(16), nullable=False),
    Column("watch_time_s", Float, nullable=False),
    Column("event_time", UtcDateTime, nullable=False, index=True),
    Column("ingest_time", UtcDateTime, nullable=False),
    Column("feed_session_id", Id),
    Column("recommendation_id", Id),
    Column("position", Integer),
    Column("algorithm", String(64)),
    Column("model_version", Id),
    Column("recommendation_score", Float),
    Column("experiments", Json),
    Column("rating", Float),
    Column("metadata", Json),
    # As the client sent it: whoever has the deployment's key can check it (`runtime/served_token.py`).
    Column("served_token", String(512)),
    Index(None, "user_id", "event_time"),
    Index(None, "video_id", "event_time"),
    # What was told of a view before it is told again; most rows are views.
    Index(
        None,
        "user_id",
        "video_id",
        "feed_session_id",
        postgresql_where=_TOLD_VIEWS,
        sqlite_where=_TOLD_VIEWS,
    ),
    # Who follows the rows by their numbers would pass by one that has the number of a deleted one.
    sqlite_autoincrement=True,
)

# One row a served page. A session may have several first pages, and a page may be asked for twice: the id tells them
# apart.
feed_cache = Table(
    "feed_cache",
    metadata,
    Column("id", RowNumber, primary_key=True, autoincrement=True),
    Column("recommendation_id", Id, nullable=False, unique=True),
    Column("feed_session_id", Id, nullable=False, index=True),
    Column("first_position", Integer, nullable=False),
    Column("user_id", Id, nullable=False),
    Column("algorithm", String(64), nullable=False),
    Column("model_version", Id),
    Column("source", String(16), nullable=False),
    Column("fallback_reason", String(32), nullable=False),
    Column("video_ids", Json, nullable=False),
    Column("scores", Json, nullable=False),
    Column("elapsed_ms", Float),
    Column("created_at", UtcDateTime, nullable=False, index=True),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    Index(None, "user_id", "created_at"),
    sqlite_autoincrement=True,
)

user_recommendations = Table(
    "user_recommendations",
    metadata,
    Column("user_id", Id, primary_key=True),
    Column("video_id", Id, primary_key=True),
    Column("score", Float, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("algorithm", String(64), nullable=False),
    Column("model_version", Id, nullable=False),
    Column("generated_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    Index(None, "user_id", "score"),
)

_SIMILAR = text("similar_user_id IS NOT NULL")

recommendation_decisions = Table(
    "recommendation_decisions",
    metadata,
    Column("recommendation_id", Id, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("user_id", Id, nullable=False),
    Column("video_id", Id, nullable=False),
    Column("media_type", String(32), nullable=False, server_default="video"),
    Column("final_score", Float),
    Column("score_components", Json),
    Column("filters_applied", Json),
    Column("rejections", Json),
    Column("source_type", String(16), nullable=False),
    Column("fallback_reason", String(32)),
    Column("feed_session_id", Id),
    Column("similar_user_id", Id),
    Column("algorithm", String(64), nullable=False),
    Column("model_version", Id),
    Column("experiments", Json),
    Column("propensity", Float),
    Column("created_at", UtcDateTime, nullable=False),
    Index(None, "user_id", "created_at"),
    Index(None, "video_id", "created_at"),
    Index(None, "algorithm", "created_at"),
    Index(None, "created_at"),
    Index(None, "similar_user_id", postgresql_where=_SIMILAR, sqlite_where=_SIMILAR),
)

_PENDING = text("user_action = 'pending'")

# One row a served video: what became of it. Names are those of `insights/domain/outcome.py`.
prediction_outcomes = Table(
    "prediction_outcomes",
    metadata,
    Column("recommendation_id", Id, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("group_id", BigInteger, nullable=False),
    Column("user_action", String(16), nullable=False),
    Column("status_after", String(16)),
    # Everything the user did, a bit each.
    Column("actions", Integer, nullable=False),
    Column("rating", Float),
    Column("rated_at", UtcDateTime),
    Column("watch_time_s", Float, nullable=False),
    # 1 for the first video of its page, 1/n for the last of n.
    Column("confidence", Float, nullable=False),
    Column("was_successful", Boolean),
    Column("confidence_match", Float),
    # When it was served.
    Column("created_at", UtcDateTime, nullable=False),
    Column("decided_at", UtcDateTime),
    # Those whose window may be over.
    Index(None, "created_at", postgresql_where=_PENDING, sqlite_where=_PENDING),
)


_COUNTED = (
    # Those that have a video of this kind.
    "pages",
    *("served", "pending", "ignored", "consumed", "watched", "liked", "added", "shared", "rated"),
    *("hidden", "blacklisted", "ever_consumed", "ever_added", "ever_rated", "successful"),
    # Whole milliseconds and millionths: sums of fractions would depend on their order.
    *("watch_time_ms", "confidence_match_ppm"),
)


def _counts(*names: str) -> list[Column[int]]:
    return [Column(name, BigInteger, nullable=False, server_default="0") for name in names]


# What the outcomes of one day and kind add up to; written with them, so that an answer is one small query.
outcome_days = Table(
    "outcome_days",
    metadata,
    Column("day", Date, primary_key=True),
    Column("algorithm", String(64), primary_key=True),
    Column("source", String(16), primary_key=True),
    Column("fallback_reason", String(32), primary_key=True),
    Column("model_version", Id, primary_key=True),
    # JSON text; cut where it would not fit into an index.
    Column("experiments", String(400), primary_key=True),
    *_counts(*_COUNTED),
)

# The same by position and country too: a row of `outcome_days` is the sum of some of these, but for the pages, which
# have videos at many positions.
outcome_totals = Table(
    "outcome_totals",
    metadata,
    Column("group_id", RowNumber, primary_key=True, autoincrement=True),
    *(Column(column.name, column.type, nullable=False) for column in outcome_days.primary_key),
    # The first of a range of positions.
    Column("position", Integer, nullable=False),
    Column("country", String(2), nullable=False),
    *_counts(*_COUNTED),
    UniqueConstraint(*outcome_days.primary_key.columns.keys(), "position", "country", name="uq_outcome_totals_kind"),
)


def _by_day_and_algorithm(name: str, column: Column[Any]) -> Table:
    key = (Column("day", Date, primary_key=True), Column("algorithm", String(64), primary_key=True))
    return Table(name, metadata, *key, column, *_counts(*_COUNTED))


# What answers by position and by country read: `outcome_totals` grows with every model and experiment.
outcome_positions = _by_day_and_algorithm("outcome_positions", Column("position", Integer, primary_key=True))
outcome_countries = _by_day_and_algorithm("outcome_countries", Column("country", String(2), primary_key=True))

_NEW = text("is_new")

# What waits to be put on the ledger: what services tell, until it is looked at, and what was done on pages that are not
# on the ledger yet.
outcome_waiting = Table(
    "outcome_waiting",
    metadata,
    Column("id", RowNumber, primary_key=True, autoincrement=True),
    # Empty: said by a service, which speaks for all users.
    Column("user_id", Id, nullable=False),
    Column("video_id", Id, nullable=False),
    Column("recommendation_id", Id, nullable=False, index=True),
    Column("feed_session_id", Id, nullable=False, index=True),
    Column("served_token", String(512), nullable=False),
    Column("actions", Integer, nullable=False),
    Column("rating", Float),
    Column("rated_at", UtcDateTime),
    Column("watch_time_s", Float, nullable=False),
    Column("happened_at", UtcDateTime, nullable=False),
    Column("arrived_at", UtcDateTime, nullable=False, index=True),
    Column("is_new", Boolean, nullable=False),
    Index("ix_outcome_waiting_is_new", "id", postgresql_where=_NEW, sqlite_where=_NEW),
)

# How many things that users did were tied to what was served, or why not.
outcome_verdicts = Table(
    "outcome_verdicts",
    metadata,
    Column("verdict", String(16), primary_key=True),
    Column("count", BigInteger, nullable=False),
)

model_corrections = Table(
    "model_corrections",
    metadata,
    Column("correction_id", String(36), primary_key=True),
    Column("user_id", Id, index=True),
    Column("video_id", Id),
    Column("media_type", String(64)),
    Column("correction_type", String(16), nullable=False, index=True),
    Column("target_factor", String(64)),
    Column("target_value", Id),
    Column("correction_value", Float),
    Column("reason", Text, nullable=False),
    Column("admin_id", Id, nullable=False),
    Column("is_active", Boolean, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

# Who changed what by hand. Rows are added, and never changed or deleted.
audit_log = Table(
    "audit_log",
    metadata,
    Column("id", RowNumber, primary_key=True, autoincrement=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("subject", String(16), nullable=False),
    Column("subject_id", Id, nullable=False),
    Column("action", String(16), nullable=False),
    Column("actor", Id, nullable=False),
    Column("door", String(16), nullable=False),
    Column("details", Json, nullable=False),
    Index(None, "subject", "subject_id"),
)

model_trainings = Table(
    "model_trainings",
    metadata,
    Column("model_version", Id, primary_key=True),
    Column("job_name", String(64), nullable=False, server_default="feed_lightfm_retrain"),
    Column("algorithm", String(64), nullable=False),
    Column("weights", Json),
    Column("thresholds", Json),
    Column("training_data_size", BigInteger),
    Column("accuracy", Float),
    Column("precision", Float),
    Column("recall", Float),
    Column("ndcg", Float),
    Column("coverage", Float),
    Column("metrics", Json),
    Column("status", String(16), nullable=False, index=True),
    Column("error", Text),
    Column("started_at", UtcDateTime, nullable=False),
    Column("heartbeat_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("counts", Json),
    Column("params", Json),
    Column("durations_s", Json),
    # Two at once are refused, wherever they run.
    Index(
        "uq_model_trainings_started",
        "job_name",
        unique=True,
        sqlite_where=text("status = 'started'"),
        postgresql_where=text("status = 'started'"),
    ),
)

training_outbox = Table(
    "training_outbox",
    metadata,
    Column("destination", String(16), primary_key=True),
    Column("model_version", Id, primary_key=True),
    Column("queued_at", UtcDateTime, nullable=False),
    Column("next_attempt_at", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("error", Text),
)

trending = Table(
    "trending",
    metadata,
    Column("segment", String(16), primary_key=True),
    Column("bucket", UtcDateTime, primary_key=True),
    Column("video_id", Id, primary_key=True),
    Column("weight", Float, nullable=False),
)

experiments = Table(
    "experiments",
    metadata,
    Column("name", Id, primary_key=True),
    Column("layer", String(64), nullable=False),
    Column("salt", String(64), nullable=False),
    Column("traffic", Float, nullable=False),
    Column("variants", Json, nullable=False),
    Column("hypothesis", Text, nullable=False),
    Column("admin_id", Id, nullable=False),
    Column("status", String(16), nullable=False),
    Column("buckets", Json, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("stop_reason", Text),
)

# What each user of an experiment was served and did; written with the ledger, so that a report is one query.
experiment_users = Table(
    "experiment_users",
    metadata,
    Column("experiment", Id, primary_key=True),
    Column("variant", Id, primary_key=True),
    Column("user_id", Id, primary_key=True, index=True),
    *_counts("pages", "fallbacks", "late", "served", "accepted", "added", "hidden", "watch_time_ms"),
)

# The receipts of erasures: without the user's id, so that they may stay.
user_erasures = Table(
    "user_erasures",
    metadata,
    Column("erasure_id", String(36), primary_key=True),
    # SHA-256 of the user's id, hexadecimal.
    Column("user_hash", String(64), nullable=False, index=True),
    Column("requested_at", UtcDateTime, nullable=False),
)

user_erasure_parts = Table(
    "user_erasure_parts",
    metadata,
    Column("erasure_id", String(36), primary_key=True),
    Column("part", String(16), primary_key=True),
    # When it will be done at the latest; absent: no time can be promised.
    Column("due_at", UtcDateTime),
    Column("done_at", UtcDateTime),
    Column("removed", BigInteger, nullable=False),
)

# Sessions of the page that were ended before their time.
page_sign_outs = Table(
    "page_sign_outs",
    metadata,
    Column("session_id", String(64), primary_key=True),
    # When nobody could use the session any more, so that the row says nothing.
    Column("ends_at", UtcDateTime, nullable=False),
)

log_offsets = Table(
    "log_offsets",
    metadata,
    Column("consumer_group", Id, primary_key=True),
    Column("topic", String(249), primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
)

import_progress = Table(
    "import_progress",
    metadata,
    Column("source", String(64), primary_key=True),
    Column("file", String(128), primary_key=True),
    Column("next_line", BigInteger, nullable=False),
    Column("finished", Boolean, nullable=False),
)
