"""Several algorithms added up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from trainer.domain.algorithm import Algorithm
from trainer.domain.dataset import Dataset
from trainer.domain.model import FactorModel, added_up, scaled, spread_alike
from trainer.ports import FitParams, Fitter


@dataclass(frozen=True, slots=True)
class Weighed:
    """A part of a combination, and how far it spreads a user's scores beside the others."""

    fitter: Fitter
    weight: float


class CombinationFitter:
    """Fits each part and adds up their scores.

    Args:
        parts: What is added up; at least one.
    """

    algorithm: Final = Algorithm.COMBINATION.value

    def __init__(self, parts: Sequence[Weighed]) -> None:
        self.parts = parts

    def passes(self, params: FitParams) -> int:
        """Returns how often `fit` calls `on_epoch`."""
        return sum(part.fitter.passes(params) for part in self.parts)

    def fit(self, dataset: Dataset, params: FitParams, on_epoch: Callable[[], None]) -> FactorModel:
        """Fits on a dataset; calls `on_epoch` after each pass of each part."""
        models = [scaled(spread_alike(part.fitter.fit(dataset, params, on_epoch)), part.weight) for part in self.parts]
        return spread_alike(added_up(models))
