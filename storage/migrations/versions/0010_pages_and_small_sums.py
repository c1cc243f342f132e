"""With the totals how many pages, and how well the ranking knew; sums by position and by country for answers."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

DAY = ("day", "algorithm", "source", "fallback_reason", "model_version", "experiments")
SUMMED = (
    *("served", "pending", "ignored", "consumed", "watched", "liked", "added", "shared", "rated"),
    *("hidden", "blacklisted", "ever_consumed", "ever_added", "ever_rated", "successful"),
    *("watch_time_ms", "confidence_match_ppm"),
)
# What is summed by position, and what by country.
SPLITS: dict[str, sa.Column[Any]] = {
    "outcome_positions": sa.Column("position", sa.Integer(), nullable=False),
    "outcome_countries": sa.Column("country", sa.String(length=2), nullable=False),
}
ENTRIES = sa.table(
    "prediction_outcomes", *map(sa.column, ("recommendation_id", "group_id")), sa.column("confidence_match", sa.Float)
)
TOTALS = sa.table("outcome_totals", *map(sa.column, ("group_id", *DAY, "position", "country", *SUMMED, "pages")))


def upgrade() -> None:
    """Applies the change; what is on the ledger already is added up."""
    for table in ("outcome_days", "outcome_totals"):
        for name in ("pages", "confidence_match_ppm"):
            op.add_column(table, _count(name))
    match_ppm = sa.cast(sa.func.round(sa.func.coalesce(ENTRIES.c.confidence_match, 0.0) * 1_000_000), sa.BigInteger)
    by_group = sa.select(ENTRIES.c.group_id, sa.func.sum(match_ppm).label("confidence_match_ppm"))
    _fill("outcome_totals", ("group_id",), by_group.group_by(ENTRIES.c.group_id))
    _fill("outcome_days", DAY, _sums(DAY, ("confidence_match_ppm",)))
    for table, split in SPLITS.items():
        _create(table, split)
    for table, key in (("outcome_totals", ("group_id",)), ("outcome_days", DAY), *map(_of_split, SPLITS)):
        _fill(table, key, _pages(key))


def downgrade() -> None:
    """Takes it back."""
    for table in SPLITS:
        op.drop_table(table)
    for table in ("outcome_days", "outcome_totals"):
        for name in ("pages", "confidence_match_ppm"):
            op.drop_column(table, name)


def _create(table: str, split: sa.Column[Any]) -> None:
    _, key = _of_split(table)
    op.create_table(
        table,
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("algorithm", sa.String(length=64), nullable=False),
        split,
        _count("pages"),
        *(_count(name) for name in SUMMED),
        sa.PrimaryKeyConstraint(*key, name=op.f(f"pk_{table}")),
    )
    names = (*key, *SUMMED)
    op.execute(sa.insert(sa.table(table, *map(sa.column, names))).from_select(names, _sums(key, SUMMED)))


def _of_split(table: str) -> tuple[str, tuple[str, ...]]:
    return table, ("day", "algorithm", SPLITS[table].name)


def _sums(key: tuple[str, ...], names: tuple[str, ...]) -> sa.Select[Any]:
    kind = [TOTALS.c[name] for name in key]
    return sa.select(*kind, *(sa.func.sum(TOTALS.c[name]).label(name) for name in names)).group_by(*kind)


def _pages(key: tuple[str, ...]) -> sa.Select[Any]:
    """Counts a page once in each sum that one of its videos is in."""
    kind = [TOTALS.c[name] for name in key]
    pages = sa.func.count(ENTRIES.c.recommendation_id.distinct()).label("pages")
    joined = TOTALS.join(ENTRIES, ENTRIES.c.group_id == TOTALS.c.group_id)
    return sa.select(*kind, pages).select_from(joined).group_by(*kind)


def _fill(name: str, key: tuple[str, ...], query: sa.Select[Any]) -> None:
    """Writes the last column of a query into the rows of a table that it is of."""
    found, table = query.subquery(), sa.table(name, *map(sa.column, query.selected_columns.keys()))
    *_, value = query.selected_columns.keys()
    same = (found.c[each] == table.c[each] for each in key)
    op.execute(sa.update(table).where(*same).values({value: found.c[value]}))


def _count(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)
