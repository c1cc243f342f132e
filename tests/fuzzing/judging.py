"""What an answer may be, whatever was asked: no failure of the server's own, and nothing of what is inside."""

import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final, TypeAlias

from tests.fuzzing.site import CANARY

# None of them has a place in what callers are told.
_INSIDE: Final = re.compile(
    rf"{CANARY}|Traceback|\b[A-Z][a-z]\w*(?:Error|Exception)\b|<class |\bat 0x[0-9a-f]{{6}}|site-packages|[\w/]+\.py\b"
    r"|/(?:tmp|usr|home|root|work|var)/|(?i:sqlite|sqlalchemy|psycopg|asyncpg|protovalidate|msgspec|starlette|jinja)"
    r"|google\.protobuf|(?i:\b(?:SELECT\b.{1,200}\bFROM|INSERT INTO|UPDATE \w+ SET|DELETE FROM)\b)",
)
# How long a refusal may take, in milliseconds.
SLOW_MS: Final = 50.0
# So often is an input sent again, alone, that took longer: a busy machine is no finding, a slow input is.
_AGAIN: Final = 5
# Of each problem at a door.
_EXAMPLES: Final = 3

Send: TypeAlias = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Finding:
    """An input that was not answered as it should be, with all that it takes to send it again."""

    door: str
    problem: str
    sent: str


@dataclass
class Tally:
    """What came of the inputs so far.

    Args:
        inputs: How many there were.
        refused: How many were not answered OK.
        reached: Doors that took at least one.
        reconnects: How often a connection was lost.
        slowest_ms: The slowest refusal, by the fastest time of each input.
    """

    inputs: int = 0
    refused: int = 0
    reconnects: int = 0
    slowest_ms: float = 0.0
    reached: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)
    _late: list[tuple[float, str, Send, str]] = field(default_factory=list)

    def find(self, door: str, problem: str, sent: object) -> None:
        """Takes down what is wrong, a few examples of each."""
        if sum((each.door, each.problem) == (door, problem) for each in self.findings) < _EXAMPLES:
            self.findings.append(Finding(door, problem, repr(sent)[:4_000]))

    def took(self, elapsed_s: float, door: str, send: Send, sent: object) -> None:
        """Takes down how long a refusal took."""
        if elapsed_s * 1_000 > SLOW_MS:
            self._late.append((elapsed_s * 1_000, door, send, repr(sent)[:4_000]))
        else:
            self.slowest_ms = max(self.slowest_ms, elapsed_s * 1_000)

    def __add__(self, other: "Tally") -> "Tally":
        """Returns what came of the inputs of both."""
        return Tally(
            self.inputs + other.inputs,
            self.refused + other.refused,
            self.reconnects + other.reconnects,
            max(self.slowest_ms, other.slowest_ms),
            self.reached | other.reached,
            self.findings + other.findings,
        )

    async def ask_late_ones_again(self, most: int = 100) -> None:
        """Sends those again that took longest; finds those that always do."""
        for elapsed_ms, door, send, sent in sorted(self._late, key=itemgetter(0), reverse=True)[:most]:
            best_ms = elapsed_ms
            for _ in range(_AGAIN):
                start = time.perf_counter()
                await send()
                best_ms = min(best_ms, (time.perf_counter() - start) * 1_000)
                if best_ms <= SLOW_MS:
                    break
            self.slowest_ms = max(self.slowest_ms, best_ms)
            if best_ms > SLOW_MS:
                self.find(door, f"always takes more than {SLOW_MS:.0f} ms", sent)


def leaks(text: str, sent: bytes) -> list[str]:
    """Returns what an answer tells of the inside; words that the caller sent are his own."""
    found = {match.group() for match in _INSIDE.finditer(text)}
    return sorted(each for each in found if each.encode() not in sent)
