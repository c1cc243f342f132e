"""Pictures as SVG: intervals in rows, lines, bars. Colours are classes of the page, so that both schemes fit."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from trainer.domain.bootstrap import Interval

WIDTH: Final = 560
_LEFT, _RIGHT, _TOP, _BOTTOM = 92, 16, 12, 44
_HEIGHT: Final = 260
_ROW_HEIGHT: Final = 44
# Between the intervals of one row.
_LANE_HEIGHT: Final = 11
_TICKS: Final = 5


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps values to places on a line of the picture.

    Args:
        label: What it shows, with the unit.
        low: Least value.
        high: Greatest value, more than `low`.
        start: Place of `low`, pixels.
        end: Place of `high`, pixels.
    """

    label: str
    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Returns the place of a value."""
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 1)

    def ticks(self) -> list[float]:
        """Returns round values to be written beside it."""
        step = _round_step((self.high - self.low) / _TICKS)
        first = math.ceil(self.low / step - 1e-9)
        return [place * step for place in range(first, math.floor(self.high / step + 1e-9) + 1)]


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its name, the number of its colour, and its points by x."""

    name: str
    colour: int
    points: Sequence[tuple[float, float]]


def interval_chart(label: str, rows: Sequence[tuple[str, Sequence[tuple[str, Interval]]]]) -> str:
    """Draws means as dots with their intervals, a lane for each name; the n-th name has the n-th colour.

    Args:
        label: What the axis shows.
        rows: Text of each row, and what it has by name, in the same order in all.
    """
    height = _TOP + _ROW_HEIGHT * len(rows) + _BOTTOM
    ends = [end for _, lanes in rows for _, each in lanes for end in (each.low, each.high)]
    axis = Axis(label, min(0.0, *ends), max(ends) * 1.05 or 1.0, _LEFT, WIDTH - _RIGHT)
    parts = [_across(axis, height)]
    for nth, (text, lanes) in enumerate(rows):
        middle = _TOP + _ROW_HEIGHT * (nth + 0.5)
        parts.append(f'<text x="{_LEFT - 8}" y="{middle + 4}" text-anchor="end">{escape(text)}</text>')
        top = middle - _LANE_HEIGHT * (len(lanes) - 1) / 2
        parts += [_whisker(axis, top + _LANE_HEIGHT * lane, lane, *named) for lane, named in enumerate(lanes)]
    return _picture(label, height, parts)


def line_chart(x_label: str, y_label: str, lines: Sequence[Line]) -> str:
    """Draws lines whose points lie between 0 and 1 on both axes, as far as they go to the right."""
    across = Axis(x_label, 0.0, max(x for line in lines for x, _ in line.points) or 1.0, _LEFT, WIDTH - _RIGHT)
    up = Axis(y_label, 0.0, 1.0, _HEIGHT - _BOTTOM, _TOP)
    parts = [_across(across, _HEIGHT), _up(up)]
    for line in lines:
        path = " ".join(f"{across.at(x)},{up.at(y)}" for x, y in line.points)
        parts.append(f'<polyline class="c{line.colour}" points="{path}"><title>{escape(line.name)}</title></polyline>')
    return _picture(f"{y_label} by {x_label}", _HEIGHT, parts)


def bar_chart(label: str, counts: Sequence[int], name_of: Callable[[int], str], marked_from: float, mark: str) -> str:
    """Draws a bar for each count, with some names below, and a line where something begins.

    Args:
        label: What is counted.
        counts: At least one.
        name_of: Text of the n-th bar.
        marked_from: Where the line is, in bars from the first one's start.
        mark: Text of the line.
    """
    across = Axis("", 0.0, len(counts), _LEFT, WIDTH - _RIGHT)
    # With room above the bars for what the line says.
    up = Axis(label, 0.0, max(*counts, 1) * 1.2, _HEIGHT - _BOTTOM, _TOP)
    wide = (across.end - across.start) / len(counts)
    parts = [_up(up)]
    for nth, count in enumerate(counts):
        y, title = up.at(count), f"<title>{escape(name_of(nth))}: {count:,}</title>"
        size = f'width="{max(wide * 0.8, 1):.1f}" height="{up.start - y:.1f}"'
        parts.append(f'<rect class="bar" x="{across.at(nth + 0.1)}" y="{y}" {size}>{title}</rect>')
    named = range(0, len(counts), max(1, -(-len(counts) // _TICKS)))
    parts += [_text(across.at(nth + 0.5), _HEIGHT - _BOTTOM + 16, name_of(nth), "middle") for nth in named]
    x = across.at(marked_from)
    parts.append(f'<path class="mark" d="M{x} {_TOP}V{_HEIGHT - _BOTTOM}"/>')
    parts.append(_text(x - 4, _TOP + 10, mark, "end"))
    return _picture(label, _HEIGHT, parts)


def _whisker(axis: Axis, y: float, colour: int, name: str, found: Interval) -> str:
    title = f"<title>{escape(name)}: {found.mean:.4f}, 95 % {found.low:.4f} to {found.high:.4f}</title>"
    low, mean, high = axis.at(found.low), axis.at(found.mean), axis.at(found.high)
    return (
        f'<g class="c{colour}">{title}<path d="M{low} {y}H{high}M{low} {y - 3}V{y + 3}M{high} {y - 3}V{y + 3}"/>'
        f'<circle cx="{mean}" cy="{y}" r="3.5"/></g>'
    )


def _across(axis: Axis, height: int) -> str:
    bottom = height - _BOTTOM
    lines = [f'<path class="grid" d="M{axis.at(tick)} {_TOP}V{bottom}"/>' for tick in axis.ticks()]
    texts = [_text(axis.at(tick), bottom + 16, f"{tick:g}", "middle") for tick in axis.ticks()]
    return "".join([*lines, *texts, _text((axis.start + axis.end) / 2, height - 8, axis.label, "middle")])


def _up(axis: Axis) -> str:
    lines = [f'<path class="grid" d="M{_LEFT} {axis.at(tick)}H{WIDTH - _RIGHT}"/>' for tick in axis.ticks()]
    texts = [_text(_LEFT - 8, axis.at(tick) + 4, f"{tick:,g}", "end") for tick in axis.ticks()]
    middle = (axis.start + axis.end) / 2
    label = f'<text transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">{escape(axis.label)}</text>'
    return "".join([*lines, *texts, label])


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'


def _picture(label: str, height: int, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'


def _round_step(rough: float) -> float:
    """Returns the next of 1, 2, 2.5, 5, 10, 20, … (or their tenths and so on) that is not less."""
    unit = 10.0 ** math.floor(math.log10(rough))
    return next(step * unit for step in (1, 2, 2.5, 5, 10) if step * unit >= rough * (1 - 1e-9))
