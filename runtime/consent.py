"""Who wants to be known: asked before anything is kept of a user."""

from typing import Protocol


class Consents(Protocol):
    """Knows who wants to be known."""

    def personalised(self, user_id: str) -> bool:
        """Says whether a user may be served personally, and what he does be kept."""


class EverybodyAgrees:
    """Knows nobody who does not."""

    def personalised(self, user_id: str) -> bool:
        """Says yes."""
        del user_id
        return True
