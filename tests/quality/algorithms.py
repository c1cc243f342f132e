"""`python -m tests.quality.algorithms DIR`: every algorithm on the same time split of KuaiRand, a JSON line each.

DIR is as in `python -m tests.quality`. Each is measured as `feed trainer evaluate` does, with the default settings.
"""

import sys
import time

import numpy as np

from tests.bench.figures import show
from tests.quality.kuairand import imported
from tests.quality.measuring import parted
from tests.quality.references import user_knn
from trainer.domain.algorithm import Algorithm
from trainer.domain.dataset import Dataset
from trainer.domain.evaluation import MODEL, Split, evaluate, ranked
from trainer.domain.model import FactorModel
from trainer.domain.ranking import Rankings, Scores
from trainer.domain.ranking_metrics import TOP, measure
from trainer.domain.user_features import UserFeatures
from trainer.fitters import fitter_of
from trainer.fitting import fit as fit_model
from trainer.planning import Planner
from trainer.service import Training


def main() -> None:
    """Imports, exports, and fits and measures one after the other."""
    with imported(sys.argv[1:]) as (job, data):
        parts = parted(data, job.settings)
        for algorithm in Algorithm:
            model = tell(job, data.features, parts, algorithm)
            if algorithm is Algorithm.USER_KNN:
                tell_exact(parts, model, job.settings.trainer_knn_neighbours)


def tell(job: Training, features: UserFeatures, parts: Split, algorithm: Algorithm) -> FactorModel:
    """Prints what one algorithm reaches; returns its model."""
    fitter = fitter_of(algorithm, job.settings.combined)
    plan = Planner(job.settings, fitter, job.progress, job.cpus).plain(features)
    fitted: list[tuple[FactorModel, float]] = []

    def fit(dataset: Dataset) -> FactorModel:
        start = time.monotonic()
        model = fit_model(fitter, dataset, plan, lambda: None).model
        fitted.append((model, time.monotonic() - start))
        return model

    found = evaluate(parts, fit, job.settings.evaluation_rules)
    model, fit_s = fitted[0]
    reached = found.metrics(MODEL)
    show(
        algorithm,
        "as `feed trainer evaluate` measures it",
        ndcg_at_10=f"{reached.ndcg_at_10:.4f}",
        recall_at_50=reached.recall_at_50,
        coverage_at_10=reached.coverage_at_10,
        fit_s=fit_s,
        dimensions=model.dimensions,
        gate=found.refusal or "passes",
    )
    return model


def tell_exact(parts: Split, model: FactorModel, neighbours: int) -> None:
    """Prints how near user-kNN comes to its formula, both without a prior."""
    nothing = np.zeros(parts.train.videos, np.float32)
    top = ranked(parts, Scores(model.user_factors, model.item_factors, nothing)).top
    exact = user_knn(parts.train, parts.truth, neighbours)
    shared = [len(np.intersect1d(*both)) for both in zip(top[:, :TOP], exact[:, :TOP], strict=True)]
    show(
        "user-knn-exact",
        "the first ten by the formula, without a prior",
        overlap_at_10=float(np.mean(shared)) / TOP,
        ndcg_at_10=f"{measure(Rankings(exact, None), parts.truth).metrics.ndcg_at_10:.4f}",
        of_the_model=f"{measure(Rankings(top, None), parts.truth).metrics.ndcg_at_10:.4f}",
    )


if __name__ == "__main__":
    main()
