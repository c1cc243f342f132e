"""`python -m tests.quality DIR`: how good served rankings are on a time split of KuaiRand, a JSON line a figure.

DIR is the folder of the data set; by default the one that lies beside the project.
"""

import asyncio
import sys
from typing import Final

from tests.bench.figures import show
from tests.quality.kuairand import imported
from tests.quality.measuring import Measured, measured

AT_LEAST_POPULARITY: Final = 1.5
AT_LEAST_COVERAGE: Final = 0.2


def main() -> None:
    """Imports, exports, fits, serves, measures."""
    with imported(sys.argv[1:]) as (job, data):
        tell(asyncio.run(measured(data, job.settings, job.fitter, job.cpus, job.settings.data_dir / "scorer")))


def tell(found: Measured) -> None:
    """Prints the figures."""
    ndcg = found.served.ndcg_at_10
    for name, what, reference, bound in (
        ("popularity", "the better of two popularities", found.popularity, AT_LEAST_POPULARITY),
        ("lightfm", "LightFM without its prior", found.model, 1.0),
        ("item-knn", "item-kNN, cosine", found.knn, 1.0),
        ("ease", "EASE", found.ease, 1.0),
        ("als", "implicit ALS", found.als, 1.0),
    ):
        ratio = ndcg / reference.ndcg_at_10
        show(
            f"ndcg-{name}",
            f"NDCG@10 of served rankings, against {what}",
            value=round(ndcg, 5),
            unit="NDCG@10",
            reference=round(reference.ndcg_at_10, 5),
            ratio=ratio,
            target=f"> {bound} x" if bound == 1 else f">= {bound} x",
            met=ratio > bound if bound == 1 else ratio >= bound,
            users=found.served.users,
        )
    _tell_coverage(found)


def _tell_coverage(found: Measured) -> None:
    show(
        "coverage",
        "share of all videos in somebody's first ten, as served",
        value=found.served.coverage_at_10,
        unit="share",
        reference=found.popularity.coverage_at_10,
        target=f">= {AT_LEAST_COVERAGE}",
        met=found.served.coverage_at_10 >= AT_LEAST_COVERAGE,
        without_stages=found.plain.coverage_at_10,
        ndcg_without_stages=round(found.plain.ndcg_at_10, 5),
        recall_at_50=found.served.recall_at_50,
    )


if __name__ == "__main__":
    main()
