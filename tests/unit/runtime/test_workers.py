"""Workers: when a dead one is replaced, and how their metrics become one answer."""

import pytest

from runtime.workers.metrics import merged
from runtime.workers.parent import LONGEST_RESTART_S, restart_delay_s


@pytest.mark.parametrize(
    ("early_deaths", "delay_s"),
    [
        pytest.param(0, 0.0, id="it served: at once (R13)"),
        pytest.param(1, 0.0, id="the first time at once"),
        pytest.param(2, 0.2, id="then later"),
        pytest.param(4, 0.8, id="and later"),
        pytest.param(10_000, LONGEST_RESTART_S, id="within bounds"),
    ],
)
def test_a_worker_that_dies_at_its_start_is_replaced_ever_later(early_deaths: int, delay_s: float):
    assert restart_delay_s(early_deaths) == delay_s


ONE = """\
# HELP calls_total Calls.
# TYPE calls_total counter
calls_total{code="OK"} 3.0
calls_total{code="a {b} \\" c"} 1.0
# HELP age_seconds Age.
# TYPE age_seconds gauge
age_seconds 0.5
"""
TWO = """\
# HELP calls_total Calls.
# TYPE calls_total counter
calls_total{code="OK"} 4.0
# HELP only_here Something.
# TYPE only_here gauge
only_here +Inf
"""
BOTH = """\
# HELP calls_total Calls.
# TYPE calls_total counter
calls_total{worker="1",code="OK"} 3.0
calls_total{worker="1",code="a {b} \\" c"} 1.0
calls_total{worker="2",code="OK"} 4.0
# HELP age_seconds Age.
# TYPE age_seconds gauge
age_seconds{worker="1"} 0.5
# HELP only_here Something.
# TYPE only_here gauge
only_here{worker="2"} +Inf
"""


def test_metrics_of_workers_are_merged_with_each_family_once():
    """The text format allows one HELP and one TYPE for a name, and all its samples in one group."""
    assert merged({1: ONE, 2: TWO}) == BOTH
