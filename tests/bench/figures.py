"""How a figure is told: one JSON line, the ratio to its reference of the same run, and whether the target is met."""

import json
import statistics
from collections.abc import Sequence


def ratio(
    name: str,
    what: str,
    unit: str,
    pairs: Sequence[tuple[float, float]],
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    **more: float | str | bool,
) -> None:
    """Tells a figure from pairs of a measurement and its reference; the median ratio is what counts."""
    found = statistics.median(mine / theirs for mine, theirs in pairs)
    show(
        name,
        what,
        value=statistics.median(mine for mine, _ in pairs),
        unit=unit,
        reference=statistics.median(theirs for _, theirs in pairs),
        ratio=found,
        target=f">= {at_least} x" if at_least else f"<= {at_most} x",
        met=(at_least is None or found >= at_least) and (at_most is None or found <= at_most),
        **more,
    )


def show(name: str, what: str, **figures: float | str | bool) -> None:
    """Prints the line."""
    rounded = {key: round(value, 3) if isinstance(value, float) else value for key, value in figures.items()}
    print(json.dumps({"figure": name, "what": what, **rounded}), flush=True)
