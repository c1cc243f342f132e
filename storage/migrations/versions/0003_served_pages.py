"""A row of the feed cache for each served page, and with each decision its session and why it fell back."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Applies the change. Until now nothing wrote into the feed cache, so it is made anew."""
    op.drop_table("feed_cache")
    op.create_table(
        "feed_cache",
        sa.Column("id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("recommendation_id", sa.String(length=128), nullable=False),
        sa.Column("feed_session_id", sa.String(length=128), nullable=False),
        sa.Column("first_position", sa.Integer(), nullable=False),
        *_common_columns(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feed_cache")),
        sa.UniqueConstraint("recommendation_id", name=op.f("uq_feed_cache_recommendation_id")),
    )
    op.create_index("ix_feed_cache_feed_session_id", "feed_cache", ["feed_session_id"])
    op.create_index("ix_feed_cache_created_at", "feed_cache", ["created_at"])
    op.create_index("ix_feed_cache_expires_at", "feed_cache", ["expires_at"])
    op.create_index("ix_feed_cache_user_id_created_at", "feed_cache", ["user_id", "created_at"])
    op.add_column("recommendation_decisions", sa.Column("fallback_reason", sa.String(length=32), nullable=True))
    op.add_column("recommendation_decisions", sa.Column("feed_session_id", sa.String(length=128), nullable=True))


def downgrade() -> None:
    """Takes it back."""
    op.drop_column("recommendation_decisions", "feed_session_id")
    op.drop_column("recommendation_decisions", "fallback_reason")
    op.drop_table("feed_cache")
    op.create_table(
        "feed_cache",
        sa.Column("feed_session_id", sa.String(length=128), nullable=False),
        sa.Column("page", sa.Integer(), nullable=False),
        *_common_columns(),
        sa.PrimaryKeyConstraint("feed_session_id", "page", name=op.f("pk_feed_cache")),
    )
    op.create_index("ix_feed_cache_expires_at", "feed_cache", ["expires_at"])
    op.create_index("ix_feed_cache_user_id", "feed_cache", ["user_id"])


def _common_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("user_id", sa.String(length=128), nullable=False),
        sa.Column("algorithm", sa.String(length=64), nullable=False),
        sa.Column("model_version", sa.String(length=128), nullable=True),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("fallback_reason", sa.String(length=32), nullable=False),
        sa.Column("video_ids", JSON, nullable=False),
        sa.Column("scores", JSON, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
    ]
