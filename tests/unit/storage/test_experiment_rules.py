"""Which experiments make sense."""

from dataclasses import replace
from typing import Any

import pytest

from runtime.experiments import Parameter, RankedBy, Variant
from storage.experiment_rules import Definition, problems_of

CONTROL, OTHER = Variant("control", 1.0), Variant("other", 0.5, parameters={Parameter.SHUFFLE: 1.0})
GOOD = Definition("order-2", "feed", 0.5, [CONTROL, OTHER], "", "ann")


@pytest.mark.parametrize(
    "definition",
    [
        GOOD,
        replace(GOOD, traffic=0.0001, layer="x" * 64, hypothesis="x" * 1_000),
        replace(GOOD, traffic=1.0, variants=[Variant(f"v{number}", 1_000.0) for number in range(10)]),
        replace(GOOD, variants=[CONTROL, Variant("all", 1.0, parameters=dict.fromkeys(Parameter, 0.0))]),
        replace(GOOD, variants=[CONTROL, Variant("trending", 1.0, RankedBy.TRENDING)]),
    ],
    ids=["ordinary", "smallest", "largest", "every-parameter", "trending"],
)
def test_what_makes_sense_is_accepted(definition: Definition) -> None:
    assert problems_of(definition) == ()


@pytest.mark.parametrize(
    ("changes", "field", "text"),
    [
        ({"name": ""}, "name", "must be 1 to 128 characters"),
        ({"name": "a b"}, "name", "must be 1 to 128 characters"),
        ({"layer": "x" * 65}, "layer", "must be 1 to 64 characters"),
        ({"hypothesis": "x" * 1_001}, "hypothesis", "must be at most 1000 characters"),
        ({"admin_id": ""}, "admin_id", "must be 1 to 128 characters"),
        ({"traffic": 0.0}, "traffic", "must be a share of the users from 0.0001 to 1"),
        ({"traffic": float("nan")}, "traffic", "must be a share of the users from 0.0001 to 1"),
        ({"variants": [CONTROL]}, "variants", "must be 2 to 10"),
        ({"variants": [CONTROL, CONTROL]}, "variants", "control is there 2 times"),
        ({"variants": [CONTROL, Variant("", 1.0)]}, "variants", "a name must be 1 to 128 characters"),
        ({"variants": [CONTROL, Variant("x", 0.0)]}, "weight", "of x: must be above 0 and at most 1000"),
        ({"variants": [CONTROL, Variant("x", float("nan"))]}, "weight", "of x: must be above 0 and at most 1000"),
        (
            {"variants": [CONTROL, Variant("x", 1.0, parameters={Parameter.EXPLORATION: 0.6})]},
            "exploration",
            "of x: must be a number from 0 to 0.5",
        ),
        (
            {"variants": [CONTROL, Variant("x", 1.0, parameters={Parameter.MAX_RUN: 1.5})]},
            "max_run",
            "of x: must be a whole number from 0 to 100",
        ),
        (
            {"variants": [CONTROL, Variant("x", 1.0, RankedBy.TRENDING, {Parameter.SHUFFLE: 0.1})]},
            "parameters",
            "of x: no model ranks it",
        ),
    ],
)
def test_what_makes_no_sense_is_named_with_what_is_accepted(changes: dict[str, Any], field: str, text: str) -> None:
    (problem,) = problems_of(replace(GOOD, **changes))
    assert problem.field == field
    assert text in problem.text
