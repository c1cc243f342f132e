"""The preparation as SQL of engines that are not here."""

import math

import pytest
import sqlglot
from ibis.expr import types as ir
from sqlglot import expressions

from trainer.domain import preparation
from trainer.domain.log import Recent
from trainer.domain.signal import Kind, SignalRules

RULES = SignalRules({Kind.VIEW: 0.1, Kind.HIDE: -10.0}, long_view_s=18.0, half_life_days=14.0)
LOG = preparation.within(preparation.coded(), 1_756_684_800.0, math.inf)


@pytest.mark.parametrize(
    ("asked", "columns"),
    [
        pytest.param(preparation.pairs(LOG, RULES, 1.8e9), ["user", "video", "weight", "liked_s"], id="pairs"),
        pytest.param(preparation.recent_views(LOG, RULES, Recent(4.0, 1.0), 1.8e9), ["video", "views"], id="views"),
        pytest.param(preparation.per_day(LOG), ["day", "interactions"], id="days"),
        pytest.param(preparation.extent(LOG), ["interactions", "first_s", "last_s"], id="extent"),
    ],
)
def test_it_is_sql_that_snowflake_reads(asked: ir.Table, columns: list[str]) -> None:
    """Parsed again by Snowflake's grammar: one query over the tables of the export, with the columns that are read."""
    (query,) = sqlglot.parse(preparation.sql_of(asked, "snowflake"), dialect="snowflake")
    assert isinstance(query, expressions.Select)
    assert query.named_selects == columns
    tables = {table.name for table in query.find_all(expressions.Table)} - {
        cte.alias for cte in query.find_all(expressions.CTE)
    }
    assert {"export", "user_ids", "video_ids"} <= tables <= {"export", "user_ids", "video_ids", "videos"}
