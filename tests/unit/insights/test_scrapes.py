"""What came to be between two looks at the metrics of a process."""

import math

import pytest

from insights.domain.scrapes import Sample, Samples, Window


def counted(**by_reason: float) -> Samples:
    return {"pages_total": [Sample({"reason": reason, "worker": "1"}, value) for reason, value in by_reason.items()]}


def observed(*counts: float) -> Samples:
    """A histogram with the bounds 0.1, 0.2 and infinity; counts up to each of them."""
    bounds = ("0.1", "0.2", "+Inf")
    return {"took_bucket": [Sample({"le": bound}, count) for bound, count in zip(bounds, counts, strict=True)]}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(counted(a=1, b=2), counted(a=4, b=2), {"a": 3, "b": 0}, id="grown"),
        pytest.param(counted(a=5), counted(a=2), {"a": 2}, id="begun-anew"),
        pytest.param(counted(), counted(a=2), {"a": 2}, id="not-there-before"),
        pytest.param(counted(a=2), counted(), {}, id="gone"),
    ],
)
def test_a_counter_tells_what_was_added(before: Samples, after: Samples, expected: dict[str, float]):
    assert Window([before], [after]).increase("pages_total", "reason") == expected


def test_processes_and_labels_are_added_up():
    window = Window([counted(a=1, b=1), counted(a=10)], [counted(a=2, b=3), counted(a=14)])
    assert window.increase("pages_total", "reason") == {"a": 5, "b": 2}
    assert window.increase("pages_total") == {"": 7}


@pytest.mark.parametrize(
    ("before", "after", "q", "expected"),
    [
        pytest.param(observed(0, 0, 0), observed(0, 10, 10), 0.5, 0.15, id="in-the-middle-of-its-bucket"),
        pytest.param(observed(90, 90, 90), observed(90, 100, 100), 0.5, 0.15, id="only-what-was-added"),
        pytest.param(observed(0, 0, 0), observed(10, 10, 10), 0.95, 0.095, id="from-zero"),
        pytest.param(observed(0, 0, 0), observed(1, 1, 10), 0.95, 0.2, id="beyond-the-last-bound"),
        pytest.param(observed(3, 4, 5), observed(3, 4, 5), 0.5, None, id="nothing-was-added"),
        pytest.param({}, {}, 0.5, None, id="no-such-metric"),
    ],
)
def test_a_quantile_is_reckoned_as_prometheus_does(before: Samples, after: Samples, q: float, expected: float | None):
    found = Window([before], [after]).quantile("took", q)
    assert found == (None if expected is None else pytest.approx(expected))


def test_what_is_not_a_number_is_told_as_it_is():
    window = Window([{}], [{"lag": [Sample({}, math.nan)]}])
    assert [math.isnan(each.value) for each in window.values("lag")] == [True]
