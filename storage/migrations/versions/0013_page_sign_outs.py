"""Who has signed out of the page, so that every process knows, and the next one."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies the change."""
    op.create_table(
        "page_sign_outs",
        sa.Column("session_id", sa.String(length=64), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_page_sign_outs")),
    )


def downgrade() -> None:
    """Takes it back."""
    op.drop_table("page_sign_outs")
