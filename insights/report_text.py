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
        yield f"{definition.meaning}: {_value(metric, control.rates[metric].value)} (control)"
        for variant in others:
            if metric in variant.differences:
                yield f"  {variant.name}: {_told(metric, variant)}"
    for harm in report.harms():
        yield ""
        yield f"HARM: {harm}"


def _told(metric: Metric, variant: VariantReport) -> str:
    found = variant.differences[metric]
    relative = "" if found.relative is None else f" ({found.relative:+.1%})"
    ends = f"{_value(metric, found.low, '+')} to {_value(metric, found.high, '+')}"
    return f"{_value(metric, variant.rates[metric].value)}{relative}, differs by {ends}: {_verdict(found)}"


def _verdict(found: Difference) -> str:
    if not found.is_known:
        return "not known yet"
    return "more" if found.value > 0 else "less"


def _value(metric: Metric, value: float, sign: str = "") -> str:
    return f"{value:{sign}.3%}" if metric in _AS_SHARES else f"{value:{sign}.2f} s"
