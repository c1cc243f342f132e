"""What callers saw of a run under load, kept for the page that `make bench-report` writes."""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

from tests.chaos.load import Call
from tests.chaos.processes import Move
from tests.chaos.watching import Seen

# The folder that takes them; nothing is kept where it is not set.
FOLDER_VARIABLE: Final = "CHAOS_RUNS"


@dataclass(frozen=True, slots=True)
class Recorded:
    """A run; all times in seconds since its first call.

    Args:
        test: Which test made it, by its file and name.
        calls: When each was made, how long it took in ms, and how it ended.
        sources: From when on pages came from which source.
        moves: When a breaker moved where.
    """

    test: str
    calls: list[tuple[float, float, str]]
    sources: list[tuple[float, str]]
    moves: list[tuple[float, str]]

    @classmethod
    def of(cls, test: str, calls: Iterable[Call], pages: Iterable[Seen], moves: Iterable[Move]) -> Self:
        """Returns what is told of a run."""
        made = sorted(calls, key=lambda call: call.start)
        start = made[0].start
        sources: list[tuple[float, str]] = []
        for page in pages:
            if page.source and (not sources or sources[-1][1] != page.source):
                sources.append((page.time - start, page.source))
        return cls(
            test,
            [(call.start - start, call.latency_ms, call.status) for call in made],
            sources,
            [(move.time - start, move.new) for move in moves],
        )


def keep(run: Recorded) -> None:
    """Writes a run down, where somebody wants it."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder:
        number = len(list(Path(folder).glob("*.json")))
        (Path(folder) / f"{number:03}.json").write_text(json.dumps(asdict(run)))


def kept(folder: Path) -> list[Recorded]:
    """Returns what was written down, in its order."""
    return [Recorded(**json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))]
