"""What a form says, and at which of its fields something is wrong."""

import math

import pytest

from insights.page.experiment_form import definition_of, errors_of, shown_variants
from runtime.experiments import Parameter, RankedBy, Variant
from storage.problems import Problem, ProblemsError

GIVEN = {"name": "calm", "layer": "feed", "traffic": "0.5", "adminId": "ann", "v1.name": "a", "v2.name": "a:b"}


def test_a_form_is_a_definition():
    more = {"v2.weight": "3", "v2.rankedBy": "candidate", "v2.shuffle": "0.1", "v2.prior": ""}
    found = definition_of({**GIVEN, **more})
    assert (found.name, found.layer, found.traffic, found.hypothesis, found.admin_id) == (
        "calm",
        "feed",
        0.5,
        "",
        "ann",
    )
    assert found.variants == [Variant("a", 1.0), Variant("a:b", 3.0, RankedBy.CANDIDATE, {Parameter.SHUFFLE: 0.1})]


@pytest.mark.parametrize("text", ["", "half", "0,5"])
def test_what_is_no_number_becomes_one_that_rules_refuse(text: str):
    assert math.isnan(definition_of({**GIVEN, "traffic": text}).traffic)


def test_a_form_that_says_nothing_has_what_is_the_least():
    assert definition_of({}).variants == [Variant("", 1.0), Variant("", 1.0)]


@pytest.mark.parametrize(
    ("text", "shown"),
    [("", 2), ("1", 2), ("5", 5), ("10", 10), ("99", 10), ("-3", 2), ("x", 2), ("9" * 5_000, 2), ("٣", 2)],
)
def test_as_many_variants_are_shown_as_there_may_be(text: str, shown: int):
    assert shown_variants({"variants": text}) == shown
    assert shown_variants({"variants": text, "more": "1"}) == min(shown + 1, 10)


def test_only_later_variants_may_be_left_empty():
    found = definition_of({**GIVEN, "variants": "4", "v3.rankedBy": "model", "v4.name": "d"})
    assert [each.name for each in found.variants] == ["a", "a:b", "d"]
    nameless = definition_of({**GIVEN, "variants": "3", "v3.diversity": "0.5"})
    assert [each.name for each in nameless.variants] == ["a", "a:b", ""]


def test_problems_are_told_at_the_fields_of_the_form():
    problems = [
        Problem("admin_id", "who"),
        Problem("traffic", "how many"),
        Problem("weight", "of a: too much"),
        Problem("shuffle", "of a:b: too little"),
        Problem("parameters", "of a:b: none"),
        Problem("variants", "twice"),
        Problem("variants", "twice"),
        Problem("variants", "nameless"),
    ]
    assert errors_of(GIVEN, ProblemsError(problems)) == {
        "adminId": "who",
        "traffic": "how many",
        "v1.weight": "too much",
        "v2.shuffle": "too little",
        "v2.rankedBy": "none",
        "variants": "twice; nameless",
    }
