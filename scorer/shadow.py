"""Ranks with the candidate what the live model ranked, once the answer is on its way, and compares the two."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from scorer.candidate import CandidateSlot, OnTrial
from scorer.domain.ranker import Ranker
from scorer.domain.trial import overlap
from scorer.domain.wish import Ranking, Wish
from scorer.metrics import OVERLAP_DEPTHS, CandidateMetrics

# Share of the time that shadow rankings take at most. One at a time could still take every second moment from those
# that somebody waits for: NumPy lets go of the GIL, the rest of a ranking does not.
_SHARE_OF_TIME: Final = 0.1


class Shadow:
    """Ranks for nobody to see. One ranking is made at a time, with rests between; what comes meanwhile is dropped.

    Args:
        candidates: Hear of what fails.
        metrics: Hears what came of it.
        monotonic: Gives the time, seconds.
    """

    def __init__(
        self, candidates: CandidateSlot, metrics: CandidateMetrics, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._candidates = candidates
        self._metrics = metrics
        self._monotonic = monotonic
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="shadow")
        self._task: asyncio.Task[None] | None = None
        self._rest_until = 0.0

    def follow(self, on_trial: OnTrial | None, wishes: Sequence[Wish], rankings: Sequence[Ranking]) -> None:
        """Begins to rank what was just ranked for the users of a shadowing candidate; returns at once.

        Args:
            on_trial: The model on trial, as a shadow or not.
            wishes: What was asked.
            rankings: What the live model answered.
        """
        if on_trial is None:
            return
        for wish, ranking in zip(wishes, rankings, strict=True):
            if ranking.dropped or not on_trial.shadows(wish):
                continue
            if self._task is not None or self._monotonic() < self._rest_until:
                self._metrics.shadow_dropped()
                continue
            # A task begins with the next turn of the loop: by then the answer is on its way.
            self._task = asyncio.create_task(self._compare(on_trial, wish, ranking), name="shadow")

    async def stop(self) -> None:
        """Waits for the ranking under way."""
        if self._task is not None:
            await self._task
        self._worker.shutdown()

    async def _compare(self, on_trial: OnTrial, wish: Wish, served: Ranking) -> None:
        start = self._monotonic()
        try:
            ranking, elapsed_s = await asyncio.get_running_loop().run_in_executor(
                self._worker, self._timed, on_trial.model.ranker, wish
            )
        except Exception as error:  # noqa: BLE001  # whatever a candidate does, the live model serves on
            self._candidates.failed(on_trial, error)
        else:
            self._metrics.shadowed(elapsed_s)
            if served.video_ids or ranking.video_ids:
                for depth in OVERLAP_DEPTHS:
                    self._metrics.overlapped(depth, overlap(served.video_ids, ranking.video_ids, depth))
        finally:
            now = self._monotonic()
            self._rest_until = now + (now - start) * (1 / _SHARE_OF_TIME - 1)
            self._task = None

    def _timed(self, ranker: Ranker, wish: Wish) -> tuple[Ranking, float]:
        start = self._monotonic()
        ranking = ranker.rank(wish, ranker.buffer())
        return ranking, self._monotonic() - start
