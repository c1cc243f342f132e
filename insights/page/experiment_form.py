"""The form that makes an experiment: what stands in it, and at which of its fields something is wrong; pure."""

from collections.abc import Iterator, Mapping
from typing import Final

from runtime.experiments import Parameter, RankedBy, Variant
from storage.experiment_rules import MOST_VARIANTS, Definition
from storage.problems import ProblemsError

LEAST_VARIANTS: Final = 2
# Of the rules' fields, those that the form has under another name.
_FIELDS: Final = {"admin_id": "adminId"}
_OF_VARIANT: Final = {"parameters": "rankedBy"}


def field_of(nth: int, name: str) -> str:
    """Returns what a field of a variant is called in the form, the first variant being 1."""
    return f"v{nth}.{name}"


def shown_variants(given: Mapping[str, str]) -> int:
    """Returns for how many variants the form has fields; one more where that is what was asked for."""
    text = given.get("variants", "")
    count = int(text) if text.isascii() and text.isdigit() and len(text) < len(str(10 * MOST_VARIANTS)) else 0
    return min(max(count, LEAST_VARIANTS) + ("more" in given), MOST_VARIANTS)


def definition_of(given: Mapping[str, str]) -> Definition:
    """Returns what a form says, whether or not it makes sense; a number that is none becomes one the rules refuse."""
    variants = [variant for _, variant in _variants(given)]
    return Definition(
        given.get("name", ""),
        given.get("layer", ""),
        _number(given.get("traffic", "")),
        variants,
        given.get("hypothesis", ""),
        given.get("adminId", ""),
    )


def errors_of(given: Mapping[str, str], error: ProblemsError) -> Mapping[str, str]:
    """Returns what is wrong, by field of the form."""
    errors: dict[str, list[str]] = {}
    for problem in error.problems:
        name, text = _FIELDS.get(problem.field, problem.field), problem.text
        for nth, variant in _variants(given):
            said_of = f"of {variant.name}: "
            if text.startswith(said_of):
                name = field_of(nth, _OF_VARIANT.get(problem.field, problem.field))
                text = text.removeprefix(said_of)
                break
        errors.setdefault(name, []).append(text)
    return {name: "; ".join(dict.fromkeys(texts)) for name, texts in errors.items()}


def _variants(given: Mapping[str, str]) -> Iterator[tuple[int, Variant]]:
    """Yields the variants with their numbers; one beyond the least that nothing was written into is none."""
    for nth in range(1, shown_variants(given) + 1):
        fields = {name: given.get(field_of(nth, name), "") for name in ("name", "weight", "rankedBy", *Parameter)}
        is_empty = not any(fields[name] for name in ("name", *Parameter))
        if nth > LEAST_VARIANTS and is_empty:
            continue
        ranked_by = fields["rankedBy"]
        yield (
            nth,
            Variant(
                fields["name"],
                _number(fields["weight"] or "1"),
                RankedBy(ranked_by) if ranked_by in set(RankedBy) else RankedBy.MODEL,
                {name: _number(fields[name]) for name in Parameter if fields[name]},
            ),
        )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
