"""What is wrong with something that somebody wants to have stored."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """A field that is wrong.

    Args:
        field: Its name.
        text: What is accepted.
    """

    field: str
    text: str


class ProblemsError(Exception):
    """It makes no sense. Its maker's fault; mend the fields that it names."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(f"{each.field}: {each.text}" for each in problems))
        self.problems = tuple(problems)
