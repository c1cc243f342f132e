"""What a chaos test measured, as one JSON line, in the form of `make bench`."""

import json
import os
from pathlib import Path

# The file that collects the lines of a run; pytest shows them at its end, where nothing captures them.
FILE_VARIABLE = "CHAOS_FIGURES"

Figure = float | str | bool | None


def report(name: str, what: str, *, target: str, met: bool, **figures: Figure) -> None:
    """Prints a line and adds it to the file of the run.

    Args:
        name: The target, such as `R01`.
        what: The fault, in a few words.
        target: What must hold, in words.
        met: Whether it did.
        figures: What was measured, each with its unit in its name.
    """
    rounded = {key: round(value, 3) if isinstance(value, float) else value for key, value in figures.items()}
    line = json.dumps({"figure": name, "what": what, **rounded, "target": target, "met": met})
    print(line, flush=True)  # noqa: T201  # what it is for
    path = os.environ.get(FILE_VARIABLE)
    if path:
        with Path(path).open("a") as file:
            file.write(line + "\n")


def reported() -> list[str]:
    """Returns the lines of the run so far."""
    path = os.environ.get(FILE_VARIABLE)
    return Path(path).read_text().splitlines() if path and Path(path).exists() else []
