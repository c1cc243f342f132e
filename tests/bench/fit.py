"""P11: what a fit takes inside the nightly run, against LightFM alone with the same matrices.

`python -m tests.bench P11`; it imports KuaiRand first, from the folder beside the project, so it is in no default run.
"""

import time
from dataclasses import replace
from typing import Any, Final

import numpy as np
from lightfm import LightFM

from tests.bench import figures
from tests.quality.kuairand import imported
from tests.quality.measuring import parted
from trainer.adapters.fit_lightfm import user_features
from trainer.adapters.matrices import likes
from trainer.domain.dataset import Dataset
from trainer.fitting import fit
from trainer.planning import Planner
from trainer.ports import FitParams

ROUNDS: Final = 3
AT_MOST: Final = 1.1


def figure() -> None:
    """Measures both in turn."""
    with imported([]) as (job, data):
        train = parted(data, job.settings).train
        plan = Planner(job.settings, job.fitter, job.progress, job.cpus).plain(data.features)
        plan = replace(plan, params=replace(plan.params, dimensions=32, epochs=10, threads=2))
        pairs = []
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            fit(job.fitter, train, plan, lambda: None)
            pairs.append((time.perf_counter() - begun, _bare(train, plan.params, user_features(train))))
        figures.ratio(
            "P11",
            "a fit of the nightly run, KuaiRand, 32 factors, 10 epochs, 2 threads; reference: LightFM.fit",
            "s",
            pairs,
            at_most=AT_MOST,
            positives=len(train.positives),
            reference_without_histories_s=_bare(train, plan.params, None),
        )


def _bare(train: Dataset, params: FitParams, features: Any) -> float:
    """Returns how long LightFM takes alone, in seconds; None: users are described by nothing but themselves."""
    said = likes(train, np.ones(len(train.positives), np.float32)).tocoo()
    weights = likes(train, train.positives.weight).tocoo()
    model = LightFM(
        no_components=params.dimensions,
        loss="warp",
        learning_rate=params.learning_rate,
        max_sampled=params.max_sampled,
        random_state=params.seed,
    )
    begun = time.perf_counter()
    model.fit(said, user_features=features, sample_weight=weights, epochs=params.epochs, num_threads=params.threads)
    return time.perf_counter() - begun
