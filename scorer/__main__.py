"""Runs the scorer."""

import os
import sys
from collections.abc import Sequence
from typing import Final

# One user's ranking is too small to split: with more threads the BLAS makes its calls wait for each other, and two
# scorers on a machine fight for the same CPUs. The libraries read these when NumPy is first imported.
BLAS_THREADS: Final = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the scorer until SIGTERM; returns its exit code."""
    for name in BLAS_THREADS:
        os.environ.setdefault(name, "1")
    from runtime.process import main as run  # noqa: PLC0415  # after the variables above
    from scorer.app import build  # noqa: PLC0415
    from scorer.settings import ScorerSettings  # noqa: PLC0415

    return run("scorer", ScorerSettings, build, argv)


if __name__ == "__main__":
    sys.exit(main())
