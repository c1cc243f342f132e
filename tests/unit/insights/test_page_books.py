"""Every answered page is in every book, once."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from insights.domain.page_books import Counters, PageBooks, differences

AGREED = PageBooks(
    before=Counters(3, 0, 0),
    after=Counters(3, 0, 0),
    videos={"r1": 20, "r2": 20, "r3": 0},
    contradicted=(),
    stored={"r1", "r2", "r3"},
    entries={"r1": 20, "r2": 20},
)


def found(**changes: Any) -> list[tuple[str, bool]]:
    return [(each.text, each.may_settle) for each in differences(replace(AGREED, **changes))]


def test_books_that_agree_differ_in_nothing() -> None:
    assert found() == []
    assert found(before=None, after=None) == []


def test_what_came_through_the_log_may_be_gone_from_it() -> None:
    gone = {"before": Counters(5, 0, 0), "after": Counters(5, 0, 0)}
    assert found(**gone, forgotten=2) == []
    assert found(**gone, forgotten=1) == [("1 answered pages have no record on the log", True)]


@pytest.mark.parametrize(
    ("changes", "text", "may_settle"),
    [
        pytest.param(
            {"before": Counters(5, 0, 0), "after": Counters(5, 0, 0)},
            "2 answered pages have no record on the log",
            True,
            id="lost record",
        ),
        pytest.param(
            {"before": Counters(4, 0, 1), "after": Counters(4, 0, 1)},
            "1 records of answered pages were dropped by the bridges",
            False,
            id="dropped record",
        ),
        pytest.param(
            {"before": Counters(2, 0, 0), "after": Counters(2, 0, 0)},
            "1 more pages on the log than the bridges answered: did one die since?",
            True,
            id="invented record",
        ),
        pytest.param(
            {"contradicted": {"r2"}},
            "1 page (r2) is on the log with different records",
            False,
            id="another record",
        ),
        pytest.param(
            {"stored": {"r2"}},
            "2 pages (r1, …) are on the log and not in the database",
            True,
            id="lost pages",
        ),
        pytest.param(
            {"entries": {"r1": 20, "r2": 19}},
            "1 page (r2) is not on the ledger with every video",
            True,
            id="lost entry",
        ),
        pytest.param(
            {"entries": {"r1": 21, "r2": 20}},
            "1 page (r1) is not on the ledger with every video",
            True,
            id="invented entry",
        ),
    ],
)
def test_each_difference_is_told(changes: Mapping[str, Any], text: str, *, may_settle: bool) -> None:
    assert found(**changes) == [(text, may_settle)]


def test_pages_that_are_answered_meanwhile_are_no_difference() -> None:
    """The log has some of them already, or not yet."""
    assert found(before=Counters(2, 0, 0), after=Counters(9, 4, 0)) == []
    assert found(before=Counters(5, 2, 0), after=Counters(9, 4, 0)) == []
