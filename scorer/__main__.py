"""Runs the scorer."""

import ctypes
import os
import sys
from collections.abc import Sequence
from typing import Final

# One user's ranking is too small to split: with more threads the BLAS makes its calls wait for each other, and two
# scorers on a machine fight for the same CPUs. The libraries read these when NumPy is first imported.
BLAS_THREADS: Final = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")

# mallopt(3). Left alone, glibc raises the bound from which blocks are taken from the system and given back to it, up to
# 32 MB, once such blocks were freed; then holes stay where models were: 40 MB of 350 after one swap (300,000 videos).
# What a ranking needs for itself is smaller than this.
M_MMAP_THRESHOLD: Final = -3
LARGE_BLOCK_BYTES: Final = 1 << 20


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the scorer until SIGTERM; returns its exit code."""
    for name in BLAS_THREADS:
        os.environ.setdefault(name, "1")
    _give_large_blocks_back()
    from runtime.process import main as run  # noqa: PLC0415  # after the variables above
    from scorer.app import build  # noqa: PLC0415
    from scorer.settings import ScorerSettings  # noqa: PLC0415

    return run("scorer", ScorerSettings, build, argv)


def _give_large_blocks_back() -> None:
    # Only glibc has it, and only glibc needs it.
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)


if __name__ == "__main__":
    sys.exit(main())
