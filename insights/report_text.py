"""The report of an experiment as lines of text."""

from collections.abc import Iterator
from typing import Final

from insights.domain.experiment_report import METRICS, ExperimentReport, Metric, VariantReport
from insights.domain.statistics import Difference

_AS_SHARES: Final = frozenset(Metric) - {Metric.WATCH_TIME}


def report_lines(report: ExperimentReport) -> Iterator[str]:
    """Yields the lines: each metric of each variant, with the interval of its difference from the control."""
    control, *others = report.variants
    for variant in report.variants:
        yield f"{variant.name}: {variant.users} users{' (control)' if variant is control else ''}"
    if report.is_mismatched:
        yield "WRONG SHARES: the variants have not the users that were drawn; no difference below means anything"
    for metric, definition in METRICS.items():
        if metric not in control.rates:
            continue
        yield ""
        yield f"{definition.meaning}: {value_text(metric, control.rates[metric].value)} (control)"
        for variant in others:
            if metric in variant.differences:
                yield f"  {variant.name}: {_told(metric, variant)}"
    for harm in report.harms():
        yield ""
        yield f"HARM: {harm}"


def _told(metric: Metric, variant: VariantReport) -> str:
    found = variant.differences[metric]
    relative = f" ({relative_text(found)})" if found.relative is not None else ""
    ends = f"{value_text(metric, found.low, '+')} to {value_text(metric, found.high, '+')}"
    return f"{value_text(metric, variant.rates[metric].value)}{relative}, differs by {ends}: {verdict(found)}"


def verdict(found: Difference) -> str:
    """Returns in words what is known of a difference."""
    if not found.is_known:
        return "not known yet"
    return "more" if found.value > 0 else "less"


def relative_text(found: Difference) -> str:
    """Returns a difference as a share of the control's rate; empty where that is 0."""
    return "" if found.relative is None else f"{found.relative:+.1%}"


def value_text(metric: Metric, value: float, sign: str = "") -> str:
    """Returns a rate, or a difference of rates, in the unit of its metric.

    Args:
        metric: Of what.
        value: It.
        sign: "+": with its sign in any case.
    """
    return f"{value:{sign}.3%}" if metric in _AS_SHARES else f"{value:{sign}.2f} s"
