"""Measures a model on a time split: fitted on the past, asked as in production, judged by the days after."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from runtime.models.model_bundle import Codes
from tests.quality.references import ease, item_knn
from tests.quality.serving import default_stages, publish, served
from trainer.adapters.fit_implicit import AlsFitter
from trainer.domain.bundling import model_arrays
from trainer.domain.dataset import Dataset
from trainer.domain.evaluation import POPULARITY, Split, evaluate, ranked, split
from trainer.domain.model import FactorModel, item_prior
from trainer.domain.ranking import Rankings, Scores
from trainer.domain.ranking_metrics import RankingMetrics, measure
from trainer.fitting import Fitted, Plan, fit
from trainer.planning import Planner
from trainer.ports import Fitter, SilentProgress
from trainer.service import TrainingData
from trainer.settings import TrainerSettings

# The best of them is the reference: which is best depends on the data.
KNN_NEIGHBOURS: Final = (20, 100, 0)
EASE_PENALTIES: Final = (100.0, 300.0, 1000.0, 3000.0)


@dataclass(frozen=True, slots=True)
class Measured:
    """What the rankings reached.

    Args:
        served: The scorer's, with the stages that a bridge asks for.
        plain: The scorer's, without stages: the model and its prior.
        model: The model alone, without its prior.
        popularity: The better of two popularities.
        knn: The best of some item-kNN.
        ease: The best of some EASE.
        als: Implicit ALS, without a prior.
    """

    served: RankingMetrics
    plain: RankingMetrics
    model: RankingMetrics
    popularity: RankingMetrics
    knn: RankingMetrics
    ease: RankingMetrics
    als: RankingMetrics


@dataclass
class _Kept:
    """Fits, and keeps what came of it."""

    fitter: Fitter
    plan: Plan
    models: list[Fitted] = field(default_factory=list)

    def __call__(self, dataset: Dataset) -> FactorModel:
        self.models.append(fit(self.fitter, dataset, self.plan, lambda: None))
        return self.models[-1].model


async def measured(data: TrainingData, settings: TrainerSettings, fitter: Fitter, cpus: int, folder: Path) -> Measured:
    """Fits on what is before the last days and measures on them.

    Args:
        data: The log and the catalogue.
        settings: How it is parted, fitted and weighed.
        fitter: Fits the model.
        cpus: CPUs that the fit may use.
        folder: An empty data directory, for the scorer.
    """
    parts = parted(data, settings)
    kept = _Kept(fitter, Planner(settings, fitter, SilentProgress(), cpus).plain(data.features))
    found = evaluate(parts, kept, settings.evaluation_rules)
    fitted = kept.models[0]
    model, known = fitted.model, fitted.known
    prior = item_prior(known, model, settings.prior_rules)
    arrays = model_arrays(data.log.user_ids, data.log.video_ids, known, model, prior, data.catalogue, fitted.told)
    publish(folder, arrays)
    stages = default_stages()
    return Measured(
        served=_judged(await served(folder, arrays, parts.truth.users, stages), parts),
        plain=_judged(await served(folder, arrays, parts.truth.users, type(stages)()), parts),
        model=_of_model(parts, model),
        popularity=found.metrics(POPULARITY),
        knn=_best([item_knn(parts, neighbours) for neighbours in KNN_NEIGHBOURS]),
        ease=_best([ease(parts, penalty) for penalty in EASE_PENALTIES]),
        als=_of_model(parts, AlsFitter().fit(parts.train, settings.fit_params(cpus), lambda: None)),
    )


def parted(data: TrainingData, settings: TrainerSettings) -> Split:
    """Parts the log as an evaluation does."""
    return split(data.log, data.catalogue.item_duration_s, settings.split_rules)


def _judged(top: Codes, parts: Split) -> RankingMetrics:
    return measure(Rankings(top, None), parts.truth).metrics


def _of_model(parts: Split, model: FactorModel) -> RankingMetrics:
    nothing = np.zeros(parts.train.videos, np.float32)
    return measure(ranked(parts, Scores(model.user_factors, model.item_factors, nothing)), parts.truth).metrics


def _best(tried: Sequence[RankingMetrics]) -> RankingMetrics:
    return max(tried, key=lambda metrics: metrics.ndcg_at_10)
