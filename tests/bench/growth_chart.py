"""Draws how rankings grow with the number of videos, both axes logarithmic, as SVG."""

import math
from collections.abc import Sequence
from typing import Any

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 60, 160, 20, 44
VIDEOS = (10_000, 1_000_000)
MS = (0.1, 100.0)

LINES = (("all_ms", "all videos", "#b5492c"), ("index_ms", "by index", "#20639b"))


def drawn(rows: Sequence[dict[str, Any]]) -> str:
    """Returns the picture: a line for each way of ranking.

    Args:
        rows: One a size, with `videos`, `all_ms`, and `index_ms` where there is an index.
    """
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"',
        ' font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        *(_across(ms) for ms in (0.1, 1, 10, 100)),
        *(_down(videos) for videos in (10_000, 100_000, 1_000_000)),
        f'<text x="{LEFT}" y="{HEIGHT - 8}">videos (best 50, 500 seen, 64 dimensions, one core, ms)</text>',
        *(_line(rows, *line) for line in LINES),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _x(videos: float) -> float:
    share = math.log(videos / VIDEOS[0]) / math.log(VIDEOS[1] / VIDEOS[0])
    return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)


def _y(ms: float) -> float:
    share = math.log(ms / MS[0]) / math.log(MS[1] / MS[0])
    return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)


def _across(ms: float) -> str:
    text = f'<text x="{LEFT - 8}" y="{_y(ms) + 4}" text-anchor="end">{ms:g}</text>'
    return f'<path d="M{LEFT} {_y(ms)}H{WIDTH - RIGHT}" stroke="#ddd"/>{text}'


def _down(videos: int) -> str:
    text = f'<text x="{_x(videos)}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{videos:,}</text>'
    return f'<path d="M{_x(videos)} {TOP}V{HEIGHT - BOTTOM}" stroke="#eee"/>{text}'


def _line(rows: Sequence[dict[str, Any]], name: str, label: str, colour: str) -> str:
    points = [(_x(row["videos"]), _y(row[name])) for row in rows if row.get(name)]
    path = " ".join(f"{x},{y}" for x, y in points)
    dots = "".join(f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>' for x, y in points)
    end_x, end_y = points[-1]
    last = next(row[name] for row in reversed(rows) if row.get(name))
    text = f'<text x="{end_x + 8}" y="{end_y + 4}" fill="{colour}">{label}: {last:.2g} ms</text>'
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}{text}'
