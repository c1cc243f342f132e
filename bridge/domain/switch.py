"""What operators have set: which scorers' breakers are held open or closed."""

import msgspec

from bridge.domain.breaker import Mode


class Switch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of all breakers.

    Args:
        everywhere: For each scorer that has none of its own.
        targets: For single scorers, by `host:port`.
    """

    everywhere: Mode = Mode.AUTO
    targets: dict[str, Mode] = {}

    def mode(self, target: str) -> Mode:
        """Returns what is set for a scorer."""
        return self.targets.get(target, self.everywhere)

    def turned(self, mode: Mode, target: str | None) -> "Switch":
        """Returns the switch after an operator turned it for one scorer, or, with None, for all of them."""
        if target is None:
            return Switch(mode)
        others = {name: each for name, each in self.targets.items() if name != target}
        return Switch(self.everywhere, others if mode is self.everywhere else {**others, target: mode})
