"""The page: where it was measured, what came out against its targets, and a picture of each fault."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

from tests.bench.report.timeline import drawn
from tests.chaos.recorded import Recorded
from trainer.report.style import STYLE

# What a figure's line has for everybody; the rest is its own.
_COMMON: Final = ("figure", "what", "target", "met")
_OWN_STYLE: Final = ".call{fill:var(--bar)}.bad-call{fill:#c0392b}td.own{white-space:normal}td.own,th{text-align:left}"

_LEGEND: Final = """\
<p class="note">Each dot is a call, on a logarithmic scale; the dashed line is what is promised. Above them, who ranked
the pages: <span class="legend"><span class="c0">a model</span><span class="c1">the fallback ladder</span></span>. Lines
from top to bottom: a breaker moved.</p>"""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured.

    Args:
        made: When, as text.
        machine: What on: names and values.
        versions: Of what: names and values.
        commands: How to do it again.
        figures: The lines of the speed and of the failure suites.
        runs: What callers saw through each fault.
    """

    made: str
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    commands: Sequence[str]
    figures: Sequence[Mapping[str, Any]]
    runs: Sequence[Recorded]


def page(found: Measured) -> str:
    """Returns the whole page, in HTML, with nothing from elsewhere."""
    title = "Speed, and what happens when things fail"
    met = sum(bool(each.get("met")) for each in found.figures)
    parts = [
        f"<h1>{title}</h1>",
        f'<p class="note">{escape(found.made)}: {met} of {len(found.figures)} targets met.</p>',
        "<h2>Where</h2>",
        _list({**found.machine, **found.versions}),
        "<h2>Again</h2>",
        f"<pre>{escape(chr(10).join(found.commands))}</pre>",
        "<h2>Figures</h2>",
        f'<div class="wide"><table>{_head()}{"".join(map(_row, found.figures))}</table></div>',
        "<h2>Through each fault</h2>",
        _LEGEND,
        *map(_figure, found.runs),
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    style, body = f"<style>{STYLE}{_OWN_STYLE}</style>", "".join(parts)
    return f'<!doctype html><html lang="en"><head>{head}{style}</head><body>{body}</body></html>\n'


def _list(facts: Mapping[str, str]) -> str:
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(value)}</dd>' for name, value in facts.items())}</dl>"


def _head() -> str:
    return "<tr><th>figure</th><th>what</th><th>measured</th><th>target</th><th>met</th></tr>"


def _row(line: Mapping[str, Any]) -> str:
    own = ", ".join(f"{name.replace('_', ' ')} {_shown(value)}" for name, value in line.items() if name not in _COMMON)
    cells = (escape(str(line["what"])), escape(own), escape(str(line.get("target", ""))))
    what, measured, target = cells
    verdict = "yes" if line.get("met") else "no"
    return (
        f'<tr><td>{escape(str(line["figure"]))}</td><td class="own">{what}</td><td class="own">{measured}</td>'
        f'<td class="own">{target}</td><td class="{"good" if line.get("met") else "bad"}">{verdict}</td></tr>'
    )


def _shown(value: Any) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else str(value)


def _figure(run: Recorded) -> str:
    name = run.test.partition("::")[0].removeprefix("test_").removesuffix(".py").replace("_", " ")
    case = run.test.partition("::")[2].removeprefix("test_").replace("_", " ")
    return f"<figure>{drawn(run)}<figcaption><small>{escape(name)}: {escape(case)}</small></figcaption></figure>"
