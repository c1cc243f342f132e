"""Two models beside each other, and what a model's choices would come to, as text for a terminal."""

from collections.abc import Iterator, Sequence
from typing import Final

from trainer.comparing import ComparedModels
from trainer.domain.bootstrap import Interval
from trainer.domain.comparison import NDCG, Figure
from trainer.domain.ranking_metrics import PER_USER
from trainer.domain.segments import ALL
from trainer.estimating import Estimated
from trainer.report.titles import TITLES

_BEYOND_NOISE: Final = "*"


def comparison_text(found: ComparedModels) -> str:
    """Returns a table: a row a metric, what each model reached, the first one's lead, with 95 % intervals."""
    first, second = found.versions
    head = ("", first, second, "lead of the first")
    lines = _aligned([head, *_means(found), *_wholes(found)])
    users = f"{found.compared.users[ALL]:,} users, {found.how}."
    return "\n".join([users, "", *lines, "", f"In brackets 95 % intervals; {_BEYOND_NOISE} is beyond noise."])


def estimate_text(found: Estimated) -> str:
    """Returns what came of lots, what would have come of a model's choices, and how much that goes by."""
    support, estimate = found.support, found.estimate
    rows = [
        ("as served, by lot", _share(estimate.served), ""),
        ("by its choice, IPS", _share(estimate.ips), ""),
        ("by its choice, SNIPS", _share(estimate.snips), f"lead {_share_lead(estimate.lead)}"),
    ]
    head = (
        f"{found.version}: {support.places:,} places kept for new videos, of {support.users:,} users, after"
        f" {found.since:%Y-%m-%d %H:%M:%S} UTC; {found.strangers:,} more of users it does not know."
    )
    foot = (
        f"The lots that fell on its choices are worth {support.worth_users:,.0f} users. None could have fallen on"
        f" {support.outside:.1%} of its choices; {support.cut:,} weights were cut."
    )
    noise = f"In brackets 95 % intervals; {_BEYOND_NOISE} is beyond noise."
    return "\n".join([head, "", "accepted videos per kept place", *_aligned(rows), "", foot, noise])


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _share(found: Interval) -> str:
    return f"{found.mean:.3%} [{found.low:.3%}, {found.high:.3%}]"


def _share_lead(found: Interval) -> str:
    return f"{found.mean:+.3%} [{found.low:+.3%}, {found.high:+.3%}]{_mark(found)}"


def _means(found: ComparedModels) -> Iterator[tuple[str, str, str, str]]:
    first, second = found.versions
    segments = [segment for segment in found.compared.users if segment != ALL]
    for segment, metric in [*((ALL, metric) for metric in PER_USER), *((segment, NDCG) for segment in segments)]:
        title = TITLES[metric][0] + ("" if segment == ALL else f", {segment}")
        ours, theirs = (found.compared.figures[Figure(version, segment, metric)] for version in (first, second))
        yield title, _interval(ours), _interval(theirs), _lead(found.compared.leads[Figure(second, segment, metric)])


def _wholes(found: ComparedModels) -> Iterator[tuple[str, str, str, str]]:
    measured = [found.compared.measured[version].metrics.named() for version in found.versions]
    for metric in TITLES:
        if metric not in PER_USER:
            yield (TITLES[metric][0], f"{measured[0][metric]:.4f}", f"{measured[1][metric]:.4f}", "")


def _interval(found: Interval) -> str:
    return f"{found.mean:.4f} [{found.low:.4f}, {found.high:.4f}]"


def _lead(found: Interval) -> str:
    return f"{found.mean:+.4f} [{found.low:+.4f}, {found.high:+.4f}]{_mark(found)}"


def _mark(found: Interval) -> str:
    return f" {_BEYOND_NOISE}" if found.is_above_zero or found.is_below_zero else ""
