"""Receipts of erasures, and what finds and forgets a user's rows."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

WITHHELD = sa.text("(NOT personalised OR erased_at IS NOT NULL)")
SIMILAR = sa.text("similar_user_id IS NOT NULL")
NUMBERED = ("user_interactions", "feed_cache")


def upgrade() -> None:
    """Applies the change."""
    op.create_table(
        "user_erasures",
        sa.Column("erasure_id", sa.String(length=36), nullable=False),
        sa.Column("user_hash", sa.String(length=64), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("erasure_id", name=op.f("pk_user_erasures")),
    )
    op.create_index(op.f("ix_user_erasures_user_hash"), "user_erasures", ["user_hash"])
    op.create_table(
        "user_erasure_parts",
        sa.Column("erasure_id", sa.String(length=36), nullable=False),
        sa.Column("part", sa.String(length=16), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("removed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("erasure_id", "part", name=op.f("pk_user_erasure_parts")),
    )
    op.create_index("ix_users_withheld", "users", ["user_id"], postgresql_where=WITHHELD, sqlite_where=WITHHELD)
    op.create_index(
        op.f("ix_recommendation_decisions_similar_user_id"),
        "recommendation_decisions",
        ["similar_user_id"],
        postgresql_where=SIMILAR,
        sqlite_where=SIMILAR,
    )
    op.create_index(op.f("ix_experiment_users_user_id"), "experiment_users", ["user_id"])
    _number(autoincrement=True)


def downgrade() -> None:
    """Takes it back."""
    _number(autoincrement=False)
    op.drop_index(op.f("ix_experiment_users_user_id"), "experiment_users")
    op.drop_index(op.f("ix_recommendation_decisions_similar_user_id"), "recommendation_decisions")
    op.drop_index("ix_users_withheld", "users")
    op.drop_table("user_erasure_parts")
    op.drop_table("user_erasures")


def _number(*, autoincrement: bool) -> None:
    """Has SQLite give the number of a deleted row again, or not: that takes the tables to be copied."""
    if op.get_bind().dialect.name != "sqlite":
        return
    for table in NUMBERED:
        with op.batch_alter_table(table, recreate="always", table_kwargs={"sqlite_autoincrement": autoincrement}):
            pass
