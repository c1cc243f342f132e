"""What training needs from the outside, as Protocols, with the fakes that tests use."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from trainer.domain.dataset import Dataset
from trainer.domain.model import FactorModel
from trainer.domain.warm_start import Start


@dataclass(frozen=True, slots=True)
class FitParams:
    """How a model is fitted.

    Args:
        dimensions: Length of an embedding.
        epochs: LightFM's passes over the positives.
        learning_rate: First step size of LightFM's AdaGrad.
        alpha: LightFM's L2 penalty of users and videos.
        max_sampled: Most negatives that WARP tries for one step.
        als_confidence: What all likes together weigh to ALS, as a multiple of what everything that is not liked weighs.
        als_penalty: ALS' L2 penalty, as a multiple of what the likes of a mean user or video weigh.
        als_passes: ALS' passes over users and videos.
        knn_neighbours: Most similar users that count for each user of user-kNN.
        seed: Seed of the fit.
        threads: Threads; only with 1 does the seed give the same model again.
    """

    dimensions: int
    epochs: int
    learning_rate: float
    alpha: float
    max_sampled: int
    als_confidence: float
    als_penalty: float
    als_passes: int
    knn_neighbours: int
    seed: int
    threads: int


class Fitter(Protocol):
    """Fits a model."""

    @property
    def algorithm(self) -> str:
        """Name of the algorithm, such as "lightfm-warp"."""

    def passes(self, params: FitParams) -> int:
        """Returns how often `fit` calls `on_epoch`."""

    def fit(self, dataset: Dataset, params: FitParams, on_epoch: Callable[[], None]) -> FactorModel:
        """Fits on a dataset; calls `on_epoch` after each pass."""


@runtime_checkable
class StepwiseFitter(Fitter, Protocol):
    """A Fitter whose passes can be taken one by one: its fit can be watched, and can begin with a model.

    Args:
        passes_param: Name of the FitParams' field that says how many passes there are.
    """

    passes_param: ClassVar[str]

    def steps(self, dataset: Dataset, params: FitParams, start: Start | None) -> Iterator[Callable[[], FactorModel]]:
        """Fits on a dataset; yields after each pass what returns the model as it is until the next one.

        Args:
            dataset: What is learned; at least one positive.
            params: How.
            start: What it begins with, of the same dimensions; None: chance.
        """


class Progress(Protocol):
    """Tells the person or the log how far the run is."""

    def step(self, name: str, total: int) -> AbstractContextManager[Callable[[], None]]:
        """Opens a step of so many parts; the callable says that one more is done."""

    def fact(self, name: str, **values: object) -> None:
        """Tells one finding."""


class SilentProgress:
    """A Progress that remembers what it was told; for tests."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.facts: dict[str, dict[str, object]] = {}

    @contextmanager
    def step(self, name: str, total: int) -> Iterator[Callable[[], None]]:
        """Remembers the step."""
        del total
        self.steps.append(name)
        yield lambda: None

    def fact(self, name: str, **values: object) -> None:
        """Remembers the finding."""
        self.facts[name] = values
