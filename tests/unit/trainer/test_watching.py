"""A fit that is watched learns nothing of what it is validated on, and stops."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import ClassVar

import numpy as np
import pytest

from runtime.settings import load
from tests.unit.trainer.test_evaluation import DURATIONS, RULES, USERS, taste_model, two_tastes
from trainer.domain.cold import Minimums
from trainer.domain.dataset import Dataset, lists_of
from trainer.domain.early_stopping import StoppingRules
from trainer.domain.evaluation import SplitRules, split
from trainer.domain.model import FactorModel, PriorRules, scaled
from trainer.domain.user_features import FeatureRules, UserFeatures
from trainer.domain.warm_start import Start
from trainer.fitting import Plan
from trainer.ports import FitParams
from trainer.settings import TrainerSettings
from trainer.watching import Watch, watched

NO_FEATURES = UserFeatures(np.zeros(0, "S1"), lists_of(USERS, np.empty(0, np.int32), np.empty(0, np.int32)))


class ScriptedFitter:
    """After some passes it knows that there are two tastes; after the others it takes one for the other."""

    algorithm = "scripted"
    passes_param: ClassVar[str] = "epochs"

    def __init__(self, good: set[int]) -> None:
        self.good = good
        self.datasets: list[Dataset] = []

    def passes(self, params: FitParams) -> int:
        return params.epochs

    def fit(self, dataset: Dataset, params: FitParams, on_epoch: Callable[[], None]) -> FactorModel:
        raise NotImplementedError

    def steps(self, dataset: Dataset, params: FitParams, start: Start | None) -> Iterator[Callable[[], FactorModel]]:
        del start
        self.datasets.append(dataset)
        for number in range(1, params.epochs + 1):
            yield partial(scaled, taste_model(dataset), 1.0 if number in self.good else -1.0)


def plan(epochs: int) -> Plan:
    params = load(TrainerSettings, {"FEED_TRAINER_EPOCHS": str(epochs)}).fit_params(1)
    return Plan(params, Minimums(1, 1), NO_FEATURES, FeatureRules(1, 0, 1.0))


def watch(patience: int, every: int) -> Watch:
    parts = split(two_tastes(), DURATIONS, SplitRules(RULES, 2.0, 1000, 10))
    return Watch(parts, StoppingRules(patience, every), PriorRules(0.0, 0.0))


@pytest.mark.parametrize(
    ("good", "patience", "every", "passes", "best", "taken"),
    [
        pytest.param({3}, 2, 1, [1, 2, 3, 4, 5], 3, 5, id="ends two validations after the best"),
        pytest.param({3}, 9, 1, [1, 2, 3, 4, 5, 6, 7, 8], 3, 8, id="takes all passes while it waits"),
        pytest.param({4}, 1, 2, [2, 4, 6], 4, 6, id="looks at every second pass"),
        pytest.param({8}, 9, 3, [3, 6, 8], 8, 8, id="looks at the last pass in any case"),
    ],
)
def test_a_fit_ends_when_it_is_over(  # a row of the table
    good: set[int], patience: int, every: int, passes: list[int], best: int, taken: int
) -> None:
    told: list[None] = []
    seen = list(watched(ScriptedFitter(good), plan(8), watch(patience, every), lambda: told.append(None)))
    assert [each.passes for each in seen] == passes
    assert (seen[-1].best_passes, len(told)) == (best, taken)


def test_nothing_of_the_validation_is_learned() -> None:
    fitter, held = ScriptedFitter({1}), watch(1, 1)
    list(watched(fitter, plan(1), held, lambda: None))
    assert fitter.datasets[0].positives.time_s.max() < held.parts.at_s
