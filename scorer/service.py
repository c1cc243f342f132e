"""Ranks with the model in use, for callers who still wait."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import grpc

from runtime.errors import FailedPreconditionError, RequestError
from runtime.model_bundle import Floats, ModelBundle
from scorer.domain.ranker import Ranker, Ranking, Wish
from scorer.metrics import RankRecord, ScorerMetrics
from scorer.models import LoadedModel, ModelSlot

# More multiplications than this (about 1 ms) leave the event loop's thread: NumPy lets go of the GIL.
LOOP_WORK: Final = 4_000_000

MODEL_MISSING: Final = "MODEL_MISSING"


class DeadlinePassedError(RequestError):
    """Nobody waits for this any more; it was not ranked."""

    grpc_code = grpc.StatusCode.DEADLINE_EXCEEDED
    http_status = HTTPStatus.GATEWAY_TIMEOUT

    def __init__(self) -> None:
        super().__init__("DEADLINE", "the deadline passed before the ranking was done")


@dataclass(frozen=True, slots=True)
class Ranked:
    """Rankings, one a wish, and the model they come from."""

    bundle: ModelBundle
    rankings: list[Ranking]


class ScoringService:
    """Answers wishes with the model in use.

    Args:
        slot: Holds the model.
        metrics: Hears of each call.
        monotonic: Gives the time that deadlines are on, seconds.
    """

    def __init__(
        self, slot: ModelSlot, metrics: ScorerMetrics, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._slot = slot
        self._metrics = metrics
        self._monotonic = monotonic
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="rank")

    def model(self) -> LoadedModel:
        """Returns the model in use.

        Raises:
            FailedPreconditionError: While there is none.
        """
        current = self._slot.current
        if current is None:
            raise FailedPreconditionError(MODEL_MISSING, "no model has been loaded yet")
        return current

    async def rank(self, wishes: Sequence[Wish], timeout_s: float | None) -> Ranked:
        """Ranks for each wish, all with one model.

        Args:
            wishes: What is asked.
            timeout_s: How long the caller still waits, seconds; None: as long as it takes.

        Raises:
            FailedPreconditionError: While there is no model.
            DeadlinePassedError: When the caller no longer waits.
        """
        model = self.model()
        deadline = None if timeout_s is None else self._monotonic() + timeout_s
        start = self._monotonic()
        try:
            if model.ranker.cost * len(wishes) <= LOOP_WORK:
                rankings = self._rank(model.ranker, wishes, deadline, model.loop_buffer)
            else:
                rankings = await asyncio.get_running_loop().run_in_executor(
                    self._worker, self._rank, model.ranker, wishes, deadline, model.worker_buffer
                )
        except DeadlinePassedError:
            self._metrics.dropped()
            raise
        unknown = sum(not ranking.known for ranking in rankings)
        self._metrics.ranked(RankRecord(len(wishes), unknown, self._monotonic() - start))
        return Ranked(model.ranker.bundle, rankings)

    def close(self) -> None:
        """Ends the worker thread; what still waits in it is dropped."""
        self._worker.shutdown(wait=True, cancel_futures=True)

    def _rank(self, ranker: Ranker, wishes: Sequence[Wish], deadline: float | None, buffer: Floats) -> list[Ranking]:
        rankings = []
        for wish in wishes:
            if deadline is not None and self._monotonic() >= deadline:
                raise DeadlinePassedError
            rankings.append(ranker.rank(wish, buffer))
        return rankings
