"""How long each served page took, and how many late ones each user of an experiment had."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies the change. Pages that were served before count as being in time."""
    op.add_column("feed_cache", sa.Column("elapsed_ms", sa.Float(), nullable=True))
    op.add_column("experiment_users", sa.Column("late", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    """Takes it back."""
    op.drop_column("experiment_users", "late")
    op.drop_column("feed_cache", "elapsed_ms")
