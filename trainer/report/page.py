"""The report of one run."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from html import escape
from typing import Final

import numpy as np
import numpy.typing as npt

from trainer.domain.bootstrap import Interval
from trainer.domain.comparison import AUC, Comparison, Figure
from trainer.domain.evaluation import LIVE, MODEL, POPULARITY, STRANGERS, Evaluation
from trainer.domain.log import DAY_S, DailyCounts
from trainer.domain.ranking_metrics import PER_USER
from trainer.domain.segments import ALL, HEAVY_LIKES, LEAST_USERS, NEW_BELOW_USERS
from trainer.report.charts import Line, bar_chart, interval_chart, line_chart
from trainer.report.style import STYLE
from trainer.report.titles import TITLES

# In the order of their colours.
_SHOWN: Final = {MODEL: "this model", POPULARITY: "popularity", LIVE: "live model"}
_SEGMENT_METRICS: Final = ("ndcg_at_10", "recall_at_50", "auc", "popularity_bias_at_10")

# Bars of at most a year; of a longer log the newest.
_MOST_DAYS: Final = 366
_CURVE_POINTS: Final = 60


@dataclass(frozen=True, slots=True)
class Run:
    """What is told of a run besides what was measured.

    Args:
        model_version: Name of the model.
        made_time: When it was measured, UTC.
        data_from: Time of the oldest interaction, UTC.
        data_until: Time of the newest one, UTC.
        refusal: Why the model must not serve; None: it may.
        live: What it was held against, or why not.
        params: Settings of the training by name.
    """

    model_version: str
    made_time: datetime
    data_from: datetime
    data_until: datetime
    refusal: str | None
    live: str
    params: Mapping[str, float | int | str]


def report_page(run: Run, found: Evaluation) -> str:
    """Returns the whole page."""
    parts = [_head(run), _facts(run, found)]
    if found.compared.measured:
        parts += [_overall(found.compared), _by_segment(found.compared), _exposure(found.compared)]
    parts += [_days(found), _params(run.params)]
    title = f"Model {escape(run.model_version)}"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">'
        f"<title>{title}</title><style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _head(run: Run) -> str:
    verdict = '<p class="good">Passed the gate</p>'
    if run.refusal:
        reasons = "".join(f"<li>{escape(reason)}</li>" for reason in run.refusal.split("; "))
        verdict = f'<div class="bad">Refused<ul>{reasons}</ul></div>'
    return f"<h1>Model {escape(run.model_version)}</h1>{verdict}"


def _facts(run: Run, found: Evaluation) -> str:
    facts = found.facts
    missing = f", {facts.missing_days} without any" if facts.missing_days else ""
    rows = (
        ("Measured", _time(run.made_time)),
        ("Interactions", f"{facts.interactions:,}, {_time(run.data_from)} to {_time(run.data_until)}"),
        ("Days", f"{facts.days:,}{missing}"),
        ("Fitted on", f"what is before {_time(datetime.fromtimestamp(found.at_s, UTC))}"),
        ("Users and videos with a positive", f"{facts.users:,} and {facts.videos:,}"),
        (
            "Measured on",
            f"{found.compared.users.get(ALL, 0):,} of {facts.test_users:,} users who liked something after",
        ),
        ("Live model", run.live),
    )
    return f"<dl>{''.join(f'<dt>{name}</dt><dd>{escape(text)}</dd>' for name, text in rows)}</dl>"


def _overall(compared: Comparison) -> str:
    names = _named(compared)
    rivals = [name for name in names if name != MODEL]
    head = ["", *names.values(), *(f"lead over {names[name]}" for name in rivals)]
    rows = [
        [
            _metric(metric),
            *(_interval(compared.figures[Figure(name, ALL, metric)]) for name in names),
            *(_lead(compared.leads[Figure(name, ALL, metric)]) for name in rivals),
        ]
        for metric in PER_USER
    ]
    whole = [metric for metric in TITLES if metric not in PER_USER]
    measured = {name: compared.measured[name].metrics.named() for name in names}
    rows += [
        [_metric(metric), *(f"{measured[name][metric]:.4f}" for name in names), *("" for _ in rivals)]
        for metric in whole
    ]
    strangers = compared.leads[Figure(STRANGERS, ALL, AUC)]
    note = (
        "Brackets hold 95 % intervals (bootstrap over users); leads are paired by user, ▲ and ▼ are beyond noise. "
        "What has no interval belongs to all rankings together. "
        "Lead in AUC over itself with each user taken for another one: "
    )
    return f'<h2>All users</h2>{_table(head, rows)}<p class="note">{note}{_lead(strangers)}</p>'


def _by_segment(compared: Comparison) -> str:
    names = _named(compared)
    charts = "".join(
        f"<figure>{_segment_chart(compared, metric)}</figure>" for metric in ("ndcg_at_10", "recall_at_50")
    )
    rows = [
        [
            f"{segment} ({users:,})" if name == MODEL else "",
            escape(text),
            *(_interval(compared.figures[Figure(name, segment, metric)]) for metric in _SEGMENT_METRICS),
        ]
        for segment, users in compared.users.items()
        for name, text in names.items()
    ]
    head = ["users", "", *(TITLES[metric][0] for metric in _SEGMENT_METRICS)]
    note = (
        f"Cold users had liked nothing before, light users fewer than {HEAVY_LIKES} videos. New videos were met by "
        f"fewer than {NEW_BELOW_USERS} users before: measured with those who liked one then, and only new videos count "
        f"as found. Segments of fewer than {LEAST_USERS} users are left out."
    )
    return f'<h2>By segment</h2>{_legend(names)}{charts}{_table(head, rows)}<p class="note">{note}</p>'


def _segment_chart(compared: Comparison, metric: str) -> str:
    names = _named(compared)
    rows = [
        (segment, [(text, compared.figures[Figure(name, segment, metric)]) for name, text in names.items()])
        for segment in compared.users
    ]
    return interval_chart(f"{TITLES[metric][0]}, mean and 95 % interval", rows)


def _exposure(compared: Comparison) -> str:
    names = _named(compared)
    lines = [
        Line(text, colour, _concentration(compared.measured[name].shown))
        for colour, (name, text) in enumerate(names.items())
    ]
    chart = line_chart("share of all videos, most shown first", "share of the places in first tens", lines)
    return f"<h2>What is shown</h2>{_legend(names)}<figure>{chart}</figure>"


def _concentration(shown: npt.NDArray[np.int64]) -> list[tuple[float, float]]:
    """Returns which share of the places how many videos have, up to the last video that is shown."""
    times = np.sort(shown[shown > 0])[::-1]
    reached = np.concatenate([[0], np.cumsum(times)]) / max(int(times.sum()), 1)
    # Closer together at the start, where the curve rises.
    nth = np.unique((np.linspace(0, 1, _CURVE_POINTS) ** 3 * len(times)).round().astype(int))
    return [(float(count / len(shown)), float(reached[count])) for count in nth]


def _days(found: Evaluation) -> str:
    daily = _newest(found.daily)

    def name_of(nth: int) -> str:
        return (date(1970, 1, 1) + timedelta(days=daily.first_day + nth)).isoformat()

    split = min(max(found.at_s / DAY_S - daily.first_day, 0.0), float(len(daily.counts)))
    chart = bar_chart("interactions a day", daily.counts.tolist(), name_of, split, "test from here")
    return f"<h2>Interactions</h2><figure>{chart}</figure>"


def _newest(daily: DailyCounts) -> DailyCounts:
    left_out = max(0, len(daily.counts) - _MOST_DAYS)
    return DailyCounts(daily.first_day + left_out, daily.counts[left_out:])


def _params(params: Mapping[str, float | int | str]) -> str:
    rows = [[escape(name), escape(str(value))] for name, value in params.items()]
    return f"<h2>Settings</h2>{_table(['name', 'value'], rows)}"


def _named(compared: Comparison) -> dict[str, str]:
    return {name: text for name, text in _SHOWN.items() if name in compared.measured}


def _legend(names: Mapping[str, str]) -> str:
    return (
        f'<p class="legend">{"".join(f"<span class=c{n}>● {text}</span>" for n, text in enumerate(names.values()))}</p>'
    )


def _metric(metric: str) -> str:
    title, meaning = TITLES[metric]
    return f"{title}<small>{escape(meaning)}</small>"


def _interval(found: Interval) -> str:
    return f"{found.mean:.4f}<small>[{found.low:.4f}, {found.high:.4f}]</small>"


def _lead(found: Interval) -> str:
    mark = "▲ " if found.is_above_zero else "▼ " if found.is_below_zero else ""
    return f"{mark}{found.mean:+.4f}<small>[{found.low:+.4f}, {found.high:+.4f}]</small>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    heads = "".join(f"<th>{escape(each)}</th>" for each in head)
    return f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


def _time(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC"
