"""From a dataset to a model as it is published: fitted, cold users and videos put in, strangers described."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from trainer.domain.cold import Minimums, known_part, with_cold
from trainer.domain.dataset import Dataset
from trainer.domain.model import FactorModel
from trainer.domain.user_features import FeatureModel, FeatureRules, UserFeatures, learn, with_features
from trainer.domain.warm_start import Start
from trainer.passes import to_the_end
from trainer.ports import FitParams, Fitter, StepwiseFitter

FROM_SCRATCH: Final = "scratch"


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """How the fits of one run are made.

    Args:
        params: What the algorithm is told.
        minimums: Who and what is cold.
        features: What is known of users beside, in the order of the log's users.
        feature_rules: How that is learned.
        start: What the fits begin with; None: chance. Only a StepwiseFitter can begin with something.
        started_from: Version of the model they begin with, or "scratch".
    """

    params: FitParams
    minimums: Minimums
    features: UserFeatures
    feature_rules: FeatureRules
    start: Start | None = None
    started_from: str = FROM_SCRATCH


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A model as it is published.

    Args:
        model: The factors, those of cold users and videos included.
        known: What it was fitted on, and what folding in goes by.
        told: What features of users say.
    """

    model: FactorModel
    known: Dataset
    told: FeatureModel


def fit(fitter: Fitter, dataset: Dataset, plan: Plan, on_pass: Callable[[], None]) -> Fitted:
    """Fits a model; calls `on_pass` after each pass.

    Raises:
        NothingToLearnError: When the minimums leave nothing.
    """
    known = known_part(dataset, plan.minimums)
    if plan.start is None or not isinstance(fitter, StepwiseFitter):
        return _published(fitter.fit(known, plan.params, on_pass), known, plan)
    model = to_the_end(fitter.steps(known, plan.params, plan.start), on_pass)
    return _published(model(), known, plan)


def fit_in_steps(fitter: StepwiseFitter, dataset: Dataset, plan: Plan) -> Iterator[Callable[[], Fitted]]:
    """Fits a model; yields after each pass what returns it as it is until the next one.

    Raises:
        NothingToLearnError: When the minimums leave nothing.
    """
    known = known_part(dataset, plan.minimums)
    for model_so_far in fitter.steps(known, plan.params, plan.start):
        yield partial(_published_now, model_so_far, known, plan)


def _published_now(model_so_far: Callable[[], FactorModel], known: Dataset, plan: Plan) -> Fitted:
    return _published(model_so_far(), known, plan)


def _published(model: FactorModel, known: Dataset, plan: Plan) -> Fitted:
    whole = with_cold(model, known)
    told = learn(plan.features, known, whole.user_factors, plan.feature_rules)
    described = with_features(plan.features, told, known, whole.user_factors)
    return Fitted(replace(whole, user_factors=described), known, told)
