"""One thing of a cluster beside its declaration: the same, or different and how it is mended."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

# Longest wait for one answer of the broker.
TIMEOUT_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Step:
    """What was found of one thing.

    Args:
        name: Of the topic or the principal.
        difference: How it differs from the declaration; empty: it does not.
        mended: What has been done about it, once `mend` has run.
        mend: Does away with the difference; None: nothing does.
        remark: What else there is to say of a thing that does not differ.
    """

    name: str
    difference: str = ""
    mended: str = ""
    mend: Callable[[], None] | None = None
    remark: str = "as declared"

    def checked(self) -> str:
        """Returns the line that tells what was found."""
        return f"{self.name}: {self.difference or self.remark}"

    def applied(self) -> str:
        """Mends it, and returns the line that tells what was found and done."""
        if not self.difference:
            return self.checked()
        if self.mend is None:
            return f"{self.checked()}: left alone"
        self.mend()
        return f"{self.checked()}: {self.mended}"
