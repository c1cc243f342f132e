"""The first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Applies the change."""
    op.create_table(
        "experiments",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("salt", sa.String(length=64), nullable=False),
        sa.Column("traffic", sa.Float(), nullable=False),
        sa.Column("variants", JSON, nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_experiments")),
    )
    op.create_table(
        "feed_cache",
        sa.Column("feed_session_id", sa.String(length=128), nullable=False),
        sa.Column("page", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.String(length=128), nullable=False),
        sa.Column("algorithm", sa.String(length=64), nullable=False),
        sa.Column("model_version", sa.String(length=128), nullable=True),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("fallback_reason", sa.String(length=32), nullable=False),
        sa.Column("video_ids", JSON, nullable=False),
        sa.Column("scores", JSON, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("feed_session_id", "page", name=op.f("pk_feed_cache")),
    )
    with op.batch_alter_table("feed_cache", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_feed_cache_expires_at"), ["expires_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_feed_cache_user_id"), ["user_id"], unique=False)

    op.create_table(
        "import_progress",
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("file", sa.String(length=128), nullable=False),
        sa.Column("next_line", sa.BigInteger(), nullable=False),
        sa.Column("finished", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("source", "file", name=op.f("pk_import_progress")),
    )
    op.create_table(
        "log_offsets",
        sa.Column("consumer_group", sa.String(length=128), nullable=False),
        sa.Column("topic", sa.String(length=249), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("consumer_group", "topic", "partition", name=op.f("pk_log_offsets")),
    )
    op.create_table(
        "model_corrections",
        sa.Column("correction_id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.String(length=128), nullable=True),
        sa.Column("video_id", sa.String(length=128), nullable=True),
        sa.Column("media_type", sa.String(length=64), nullable=True),
        sa.Column("correction_type", sa.String(length=16), nullable=False),
        sa.Column("target_factor", sa.String(length=64), nullable=True),
        sa.Column("target_value", sa.String(length=128), nullable=True),
        sa.Column("correction_value", sa.Float(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("admin_id", sa.String(length=128), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("correction_id", name=op.f("pk_model_corrections")),
    )
    with op.batch_alter_table("model_corrections", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_model_corrections_correction_type"), ["correction_type"], unique=False)
        batch_op.create_index(batch_op.f("ix_model_corrections_user_id"), ["user_id"], unique=False)

    op.create_table(
        "model_trainings",
        sa.Column("model_version", sa.String(length=128), nullable=False),
        sa.Column("algorithm", sa.String(length=64), nullable=False),
        sa.Column("weights", JSON, nullable=True),
        sa.Column("thresholds", JSON, nullable=True),
        sa.Column("training_data_size", sa.BigInteger(), nullable=True),
        sa.Column("accuracy", sa.Float(), nullable=True),
        sa.Column("precision", sa.Float(), nullable=True),
        sa.Column("recall", sa.Float(), nullable=True),
        sa.Column("ndcg", sa.Float(), nullable=True),
        sa.Column("coverage", sa.Float(), nullable=True),
        sa.Column("metrics", JSON, nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("model_version", name=op.f("pk_model_trainings")),
    )
    with op.batch_alter_table("model_trainings", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_model_trainings_status"), ["status"], unique=False)

    op.create_table(
        "prediction_outcomes",
        sa.Column("id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("recommendation_id", sa.String(length=128), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("user_action", sa.String(length=16), nullable=False),
        sa.Column("rating", sa.Float(), nullable=True),
        sa.Column("watch_time_s", sa.Float(), nullable=True),
        sa.Column("status_after", sa.String(length=32), nullable=True),
        sa.Column("was_successful", sa.Boolean(), nullable=True),
        sa.Column("confidence_match", sa.Float(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prediction_outcomes")),
        sa.UniqueConstraint(
            "recommendation_id",
            "position",
            "user_action",
            name=op.f("uq_prediction_outcomes_recommendation_id_position_user_action"),
        ),
    )
    with op.batch_alter_table("prediction_outcomes", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_prediction_outcomes_created_at"), ["created_at"], unique=False)

    op.create_table(
        "recommendation_decisions",
        sa.Column("recommendation_id", sa.String(length=128), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.String(length=128), nullable=False),
        sa.Column("video_id", sa.String(length=128), nullable=False),
        sa.Column("media_type", sa.String(length=32), server_default="video", nullable=False),
        sa.Column("final_score", sa.Float(), nullable=True),
        sa.Column("score_components", JSON, nullable=True),
        sa.Column("filters_applied", JSON, nullable=True),
        sa.Column("rejections", JSON, nullable=True),
        sa.Column("source_type", sa.String(length=16), nullable=False),
        sa.Column("similar_user_id", sa.String(length=128), nullable=True),
        sa.Column("algorithm", sa.String(length=64), nullable=False),
        sa.Column("model_version", sa.String(length=128), nullable=True),
        sa.Column("experiments", JSON, nullable=True),
        sa.Column("propensity", sa.Float(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("recommendation_id", "position", name=op.f("pk_recommendation_decisions")),
    )
    with op.batch_alter_table("recommendation_decisions", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_recommendation_decisions_algorithm_created_at"), ["algorithm", "created_at"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_recommendation_decisions_user_id_created_at"), ["user_id", "created_at"], unique=False
        )

    op.create_table(
        "trending",
        sa.Column("segment", sa.String(length=16), nullable=False),
        sa.Column("bucket", sa.DateTime(timezone=True), nullable=False),
        sa.Column("video_id", sa.String(length=128), nullable=False),
        sa.Column("weight", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("segment", "bucket", "video_id", name=op.f("pk_trending")),
    )
    op.create_table(
        "user_interactions",
        sa.Column("id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("event_id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.String(length=128), nullable=False),
        sa.Column("video_id", sa.String(length=128), nullable=False),
        sa.Column("interaction_type", sa.String(length=16), nullable=False),
        sa.Column("watch_time_s", sa.Float(), nullable=False),
        sa.Column("event_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ingest_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("feed_session_id", sa.String(length=128), nullable=True),
        sa.Column("recommendation_id", sa.String(length=128), nullable=True),
        sa.Column("position", sa.Integer(), nullable=True),
        sa.Column("algorithm", sa.String(length=64), nullable=True),
        sa.Column("model_version", sa.String(length=128), nullable=True),
        sa.Column("recommendation_score", sa.Float(), nullable=True),
        sa.Column("experiments", JSON, nullable=True),
        sa.Column("rating", sa.Float(), nullable=True),
        sa.Column("metadata", JSON, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_interactions")),
        sa.UniqueConstraint("event_id", name=op.f("uq_user_interactions_event_id")),
    )
    with op.batch_alter_table("user_interactions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_user_interactions_event_time"), ["event_time"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_user_interactions_user_id_event_time"), ["user_id", "event_time"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_user_interactions_video_id_event_time"), ["video_id", "event_time"], unique=False
        )

    op.create_table(
        "user_recommendations",
        sa.Column("user_id", sa.String(length=128), nullable=False),
        sa.Column("video_id", sa.String(length=128), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("algorithm", sa.String(length=64), nullable=False),
        sa.Column("model_version", sa.String(length=128), nullable=False),
        sa.Column("generated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "video_id", name=op.f("pk_user_recommendations")),
    )
    with op.batch_alter_table("user_recommendations", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_user_recommendations_expires_at"), ["expires_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_user_recommendations_user_id_score"), ["user_id", "score"], unique=False)

    op.create_table(
        "users",
        sa.Column("user_id", sa.String(length=128), nullable=False),
        sa.Column("features", JSON, nullable=False),
        sa.Column("locale", sa.String(length=35), server_default="", nullable=False),
        sa.Column("country", sa.String(length=2), server_default="", nullable=False),
        sa.Column("personalised", sa.Boolean(), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_users")),
    )
    op.create_table(
        "videos",
        sa.Column("video_id", sa.String(length=128), nullable=False),
        sa.Column("title", sa.Text(), server_default="", nullable=False),
        sa.Column("author_id", sa.String(length=128), server_default="", nullable=False),
        sa.Column("duration_s", sa.Float(), nullable=True),
        sa.Column("tags", JSON, nullable=False),
        sa.Column("language", sa.String(length=35), server_default="", nullable=False),
        sa.Column("country", sa.String(length=2), server_default="", nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("video_id", name=op.f("pk_videos")),
    )
    with op.batch_alter_table("videos", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_videos_published_at"), ["published_at"], unique=False)


def downgrade() -> None:
    """Takes it back."""
    with op.batch_alter_table("videos", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_videos_published_at"))

    op.drop_table("videos")
    op.drop_table("users")
    with op.batch_alter_table("user_recommendations", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_user_recommendations_user_id_score"))
        batch_op.drop_index(batch_op.f("ix_user_recommendations_expires_at"))

    op.drop_table("user_recommendations")
    with op.batch_alter_table("user_interactions", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_user_interactions_video_id_event_time"))
        batch_op.drop_index(batch_op.f("ix_user_interactions_user_id_event_time"))
        batch_op.drop_index(batch_op.f("ix_user_interactions_event_time"))

    op.drop_table("user_interactions")
    op.drop_table("trending")
    with op.batch_alter_table("recommendation_decisions", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_recommendation_decisions_user_id_created_at"))
        batch_op.drop_index(batch_op.f("ix_recommendation_decisions_algorithm_created_at"))

    op.drop_table("recommendation_decisions")
    with op.batch_alter_table("prediction_outcomes", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_prediction_outcomes_created_at"))

    op.drop_table("prediction_outcomes")
    with op.batch_alter_table("model_trainings", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_model_trainings_status"))

    op.drop_table("model_trainings")
    with op.batch_alter_table("model_corrections", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_model_corrections_user_id"))
        batch_op.drop_index(batch_op.f("ix_model_corrections_correction_type"))

    op.drop_table("model_corrections")
    op.drop_table("log_offsets")
    op.drop_table("import_progress")
    with op.batch_alter_table("feed_cache", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_feed_cache_user_id"))
        batch_op.drop_index(batch_op.f("ix_feed_cache_expires_at"))

    op.drop_table("feed_cache")
    op.drop_table("experiments")
