"""Lets the journal grow no faster than Kafka takes it in, while Kafka takes it in; pure."""

from typing import Final

# Of what Kafka confirms, so much may be written anew: the rest is by how much the journal shrinks.
SHARE: Final = 0.8
# Written at once after a pause, in records.
CREDIT: Final = 5_000
# A relay that has not moved for so long does not move: then the journal takes everything.
STILL_S: Final = 0.5


class Pace:
    """Says whether the journal may be written now.

    At the usual rate it always may, since the relay is several times as fast. But a flood that found the journal once
    would never leave it: callers who only wait for the disk could keep the relay from ever getting to the end.
    """

    def __init__(self) -> None:
        self._credit = float(CREDIT)
        self._is_behind = False
        self._moved_s = float("-inf")

    def confirmed(self, records: int, now_s: float, *, is_behind: bool) -> None:
        """Takes note of what the relay brought to Kafka, and whether a full window is left."""
        self._credit = min(CREDIT, self._credit + records * SHARE)
        self._is_behind = is_behind
        self._moved_s = now_s

    def written(self, records: int) -> None:
        """Takes note of what went into the journal."""
        self._credit = max(-CREDIT, self._credit - records)

    def allows(self, now_s: float) -> bool:
        """Says whether the journal may be written now."""
        return self._credit > 0 or not self._is_behind or now_s - self._moved_s > STILL_S
