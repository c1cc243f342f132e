"""What each user of an experiment was served and did, and why an experiment was stopped."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_COUNTS = ("pages", "fallbacks", "served", "accepted", "added", "hidden", "watch_time_ms")


def upgrade() -> None:
    """Applies the change."""
    op.create_table(
        "experiment_users",
        sa.Column("experiment", sa.String(length=128), nullable=False),
        sa.Column("variant", sa.String(length=128), nullable=False),
        sa.Column("user_id", sa.String(length=128), nullable=False),
        *(sa.Column(name, sa.BigInteger(), server_default="0", nullable=False) for name in _COUNTS),
        sa.PrimaryKeyConstraint("experiment", "variant", "user_id", name=op.f("pk_experiment_users")),
    )
    op.add_column("experiments", sa.Column("stop_reason", sa.Text(), nullable=True))


def downgrade() -> None:
    """Takes it back."""
    op.drop_column("experiments", "stop_reason")
    op.drop_table("experiment_users")
