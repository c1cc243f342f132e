"""Who gets nothing personal."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unpersonalised:
    """The users who get nothing personal, those that were erased among them.

    Args:
        user_ids: They.
        mark: What tells them from others.
    """

    user_ids: frozenset[str] = frozenset()
    mark: str = ""
