"""What an experiment is about, and which users it has. Until now nothing wrote experiments, so the table is made anew."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    """Applies the change."""
    op.drop_table("experiments")
    op.create_table(
        "experiments",
        *_first_columns(),
        sa.Column("layer", sa.String(length=64), nullable=False),
        sa.Column("hypothesis", sa.Text(), nullable=False),
        sa.Column("admin_id", sa.String(length=128), nullable=False),
        sa.Column("buckets", JSON, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_experiments")),
    )


def downgrade() -> None:
    """Takes it back."""
    op.drop_table("experiments")
    op.create_table("experiments", *_first_columns(), sa.PrimaryKeyConstraint("name", name=op.f("pk_experiments")))


def _first_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("salt", sa.String(length=64), nullable=False),
        sa.Column("traffic", sa.Float(), nullable=False),
        sa.Column("variants", JSON, nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
    ]
