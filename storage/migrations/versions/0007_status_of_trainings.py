"""What a training is doing and what came of it, and who is still to be told."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
STARTED = sa.text("status = 'started'")


def upgrade() -> None:
    """Applies the change. Whatever has not ended by now was killed: the new trainer is not running yet."""
    op.add_column(
        "model_trainings",
        sa.Column("job_name", sa.String(length=64), server_default="feed_lightfm_retrain", nullable=False),
    )
    op.add_column("model_trainings", sa.Column("heartbeat_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("model_trainings", sa.Column("counts", JSON, nullable=True))
    op.add_column("model_trainings", sa.Column("params", JSON, nullable=True))
    op.add_column("model_trainings", sa.Column("durations_s", JSON, nullable=True))
    op.execute(
        "UPDATE model_trainings SET status = 'failed', finished_at = started_at,"
        " error = 'the process ended before the training did' WHERE status = 'started'"
    )
    op.create_index(
        "uq_model_trainings_started",
        "model_trainings",
        ["job_name"],
        unique=True,
        sqlite_where=STARTED,
        postgresql_where=STARTED,
    )
    op.create_table(
        "training_outbox",
        sa.Column("destination", sa.String(length=16), nullable=False),
        sa.Column("model_version", sa.String(length=128), nullable=False),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("destination", "model_version", name=op.f("pk_training_outbox")),
    )


def downgrade() -> None:
    """Takes it back."""
    op.drop_table("training_outbox")
    op.drop_index("uq_model_trainings_started", "model_trainings")
    for column in ("durations_s", "params", "counts", "heartbeat_at", "job_name"):
        op.drop_column("model_trainings", column)
