"""Draws what callers waited through a fault: each call, the 150 ms that are promised, and who ranked the pages."""

import math
from collections.abc import Iterator
from html import escape
from itertools import pairwise
from typing import Final

from tests.chaos.recorded import Recorded
from trainer.report.charts import Axis

WIDTH, HEIGHT = 560, 240
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 26, 40
PROMISE_MS: Final = 150.0
# One dot for all calls of a pixel's width and height: 18,000 circles would make a browser slow.
LEAST_MS, MOST_MS = 1.0, 1_000.0
# The colour of pages that a model ranked, of those that the ladder served, and of calls that failed.
PERSONAL, FALLEN_BACK, FAILED = "c0", "c1", "bad-call"


def drawn(run: Recorded) -> str:
    """Returns the picture of a run, as SVG; milliseconds are logarithmic."""
    last = max((start for start, _, _ in run.calls), default=1.0)
    across = Axis("seconds", 0.0, max(last, 1.0), LEFT, WIDTH - RIGHT)
    parts = [*_grid(across), *_bands(run, across), *_moves(run, across), *_dots(run, across)]
    label = f"milliseconds of each call of {run.test}, by seconds"
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'


def _up(ms: float) -> float:
    held = min(max(ms, LEAST_MS), MOST_MS)
    share = math.log(held / LEAST_MS) / math.log(MOST_MS / LEAST_MS)
    return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)


def _grid(across: Axis) -> Iterator[str]:
    for ms in (1, 10, 100, 1_000):
        yield f'<path class="grid" d="M{LEFT} {_up(ms)}H{WIDTH - RIGHT}"/>'
        yield f'<text x="{LEFT - 6}" y="{_up(ms) + 4}" text-anchor="end">{ms:,}</text>'
    yield f'<path class="mark" d="M{LEFT} {_up(PROMISE_MS)}H{WIDTH - RIGHT}"/>'
    yield f'<text x="{WIDTH - RIGHT}" y="{_up(PROMISE_MS) - 4}" text-anchor="end">{PROMISE_MS:g} ms</text>'
    for tick in across.ticks():
        yield f'<text x="{across.at(tick)}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{tick:g}</text>'
    yield f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 6}" text-anchor="middle">seconds</text>'
    yield f'<text x="4" y="{TOP - 12}">ms</text>'


def _bands(run: Recorded, across: Axis) -> Iterator[str]:
    """Who ranked, as a band above the calls."""
    ends = [*run.sources, (across.high, "")]
    for (start, source), (end, _) in pairwise(ends):
        left, right = across.at(max(start, 0.0)), across.at(min(end, across.high))
        colour = PERSONAL if source == "LIGHTFM" else FALLEN_BACK
        size = f'width="{max(right - left, 1):.1f}" height="5"'
        yield f'<rect class="{colour}" x="{left}" y="{TOP - 8}" {size}><title>{escape(source)}</title></rect>'


def _moves(run: Recorded, across: Axis) -> Iterator[str]:
    for time, state in run.moves:
        if 0 <= time <= across.high:
            x = across.at(time)
            yield f'<path class="grid" d="M{x} {TOP}V{HEIGHT - BOTTOM}"><title>breaker {escape(state)}</title></path>'


def _dots(run: Recorded, across: Axis) -> Iterator[str]:
    places = {(across.at(start) // 2 * 2, _up(ms) // 2 * 2, status == "OK") for start, ms, status in run.calls}
    for x, y, well in sorted(places):
        yield f'<rect class="{"call" if well else FAILED}" x="{x:g}" y="{y:g}" width="2" height="2"/>'
