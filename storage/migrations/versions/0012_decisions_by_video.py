"""An index that finds when a video was served, for what came of a correction."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

INDEX = "ix_recommendation_decisions_video_id_created_at"


def upgrade() -> None:
    """Applies the change."""
    op.create_index(op.f(INDEX), "recommendation_decisions", ["video_id", "created_at"])


def downgrade() -> None:
    """Takes it back."""
    op.drop_index(op.f(INDEX), "recommendation_decisions")
