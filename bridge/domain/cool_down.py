"""When a store that failed may be asked again."""


class CoolDown:
    """Leaves a store alone for a while when it failed, or was late several times in a row.

    Args:
        pause_s: For how long, in seconds.
        patience: How many late answers count as a failure.
    """

    def __init__(self, pause_s: float, patience: int) -> None:
        self._pause_s = pause_s
        self._patience = patience
        self._late = 0
        self._until = 0.0

    def over(self, now: float) -> bool:
        """Says whether the store may be asked; `now` in monotonic seconds."""
        return now >= self._until

    def answered(self) -> None:
        """Notes an answer in time."""
        self._late = 0

    def late(self, now: float) -> None:
        """Notes an answer that did not come in time."""
        self._late += 1
        if self._late >= self._patience:
            self.failed(now)

    def failed(self, now: float) -> None:
        """Notes a failure."""
        self._late = 0
        self._until = now + self._pause_s
