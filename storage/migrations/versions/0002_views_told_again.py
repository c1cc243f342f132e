"""An index that finds what was told of a view before."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_NAME = "ix_user_interactions_user_id_video_id_feed_session_id"
_WHERE = sa.text("interaction_type = 'VIEW' AND feed_session_id IS NOT NULL")


def upgrade() -> None:
    """Applies the change."""
    columns = ["user_id", "video_id", "feed_session_id"]
    op.create_index(_NAME, "user_interactions", columns, postgresql_where=_WHERE, sqlite_where=_WHERE)


def downgrade() -> None:
    """Takes it back."""
    op.drop_index(_NAME, "user_interactions")
