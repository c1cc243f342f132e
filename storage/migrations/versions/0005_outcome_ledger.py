"""The ledger of outcomes, its totals, and with each interaction the proof of what it followed."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
PENDING = sa.text("user_action = 'pending'")
NEW = sa.text("is_new")
KIND = ("day", "algorithm", "source", "fallback_reason", "model_version", "experiments")
COUNTS = (
    *("served", "pending", "ignored", "consumed", "watched", "liked", "added", "shared", "rated"),
    *("hidden", "blacklisted", "ever_consumed", "ever_added", "ever_rated", "successful", "watch_time_ms"),
)


def upgrade() -> None:
    """Applies the change. Until now nothing wrote into prediction_outcomes, so it is made anew."""
    op.add_column("user_interactions", sa.Column("served_token", sa.String(length=512), nullable=True))
    op.drop_table("prediction_outcomes")
    op.create_table(
        "prediction_outcomes",
        sa.Column("recommendation_id", sa.String(length=128), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("group_id", sa.BigInteger(), nullable=False),
        sa.Column("user_action", sa.String(length=16), nullable=False),
        sa.Column("status_after", sa.String(length=16), nullable=True),
        *_done(),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("was_successful", sa.Boolean(), nullable=True),
        sa.Column("confidence_match", sa.Float(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("decided_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("recommendation_id", "position", name=op.f("pk_prediction_outcomes")),
    )
    op.create_index(
        "ix_prediction_outcomes_created_at",
        "prediction_outcomes",
        ["created_at"],
        postgresql_where=PENDING,
        sqlite_where=PENDING,
    )
    _create_totals()
    _create_waiting()
    op.create_table(
        "outcome_verdicts",
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("verdict", name=op.f("pk_outcome_verdicts")),
    )


def downgrade() -> None:
    """Takes it back."""
    for table in ("outcome_verdicts", "outcome_waiting", "outcome_totals", "outcome_days", "prediction_outcomes"):
        op.drop_table(table)
    op.drop_column("user_interactions", "served_token")
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
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prediction_outcomes")),
        sa.UniqueConstraint(
            "recommendation_id",
            "position",
            "user_action",
            name=op.f("uq_prediction_outcomes_recommendation_id_position_user_action"),
        ),
    )
    op.create_index("ix_prediction_outcomes_created_at", "prediction_outcomes", ["created_at"])


def _create_totals() -> None:
    op.create_table("outcome_days", *_kind(), *_counts(), sa.PrimaryKeyConstraint(*KIND, name=op.f("pk_outcome_days")))
    op.create_table(
        "outcome_totals",
        sa.Column("group_id", ROW_NUMBER, autoincrement=True, nullable=False),
        *_kind(),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("country", sa.String(length=2), nullable=False),
        *_counts(),
        sa.PrimaryKeyConstraint("group_id", name=op.f("pk_outcome_totals")),
        sa.UniqueConstraint(*KIND, "position", "country", name="uq_outcome_totals_kind"),
    )


def _create_waiting() -> None:
    op.create_table(
        "outcome_waiting",
        sa.Column("id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("user_id", sa.String(length=128), nullable=False),
        sa.Column("video_id", sa.String(length=128), nullable=False),
        sa.Column("recommendation_id", sa.String(length=128), nullable=False),
        sa.Column("feed_session_id", sa.String(length=128), nullable=False),
        sa.Column("served_token", sa.String(length=512), nullable=False),
        *_done(),
        sa.Column("happened_at", TIME, nullable=False),
        sa.Column("arrived_at", TIME, nullable=False),
        sa.Column("is_new", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outcome_waiting")),
    )
    for column in ("recommendation_id", "feed_session_id", "arrived_at"):
        op.create_index(f"ix_outcome_waiting_{column}", "outcome_waiting", [column])
    op.create_index("ix_outcome_waiting_is_new", "outcome_waiting", ["id"], postgresql_where=NEW, sqlite_where=NEW)


def _kind() -> list[sa.Column[object]]:
    return [
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("algorithm", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("fallback_reason", sa.String(length=32), nullable=False),
        sa.Column("model_version", sa.String(length=128), nullable=False),
        sa.Column("experiments", sa.String(length=400), nullable=False),
    ]


def _counts() -> list[sa.Column[object]]:
    return [sa.Column(name, sa.BigInteger(), server_default="0", nullable=False) for name in COUNTS]


def _done() -> list[sa.Column[object]]:
    return [
        sa.Column("actions", sa.Integer(), nullable=False),
        sa.Column("rating", sa.Float(), nullable=True),
        sa.Column("rated_at", TIME, nullable=True),
        sa.Column("watch_time_s", sa.Float(), nullable=False),
    ]
