"""Sign-outs without a database."""

from insights.ports import LedgerUnavailableError


class KeptInMemory:
    """The port `KeptSignOuts`, which may be away."""

    def __init__(self) -> None:
        self.rows: set[str] = set()
        self.is_away = False

    async def add(self, session_id: str, _ends_time: float) -> None:
        self._here()
        self.rows.add(session_id)

    async def ended(self) -> frozenset[str]:
        self._here()
        return frozenset(self.rows)

    def _here(self) -> None:
        if self.is_away:
            raise LedgerUnavailableError("away")
