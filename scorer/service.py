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
from scorer.domain.explain import Explained, explain
from scorer.domain.ranker import Ranker
from scorer.domain.wish import DROPPED, Ranking, Wish
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


@dataclass(frozen=True, slots=True)
class Told:
    """What scores are made of, and the model they come from."""

    bundle: ModelBundle
    explained: Explained


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
        """Ranks for each wish, all with one model; a wish whose own time has passed is dropped, the others are not.

        Args:
            wishes: What is asked.
            timeout_s: How long the caller still waits, seconds; None: as long as it takes.

        Raises:
            FailedPreconditionError: While there is no model.
            DeadlinePassedError: When the caller no longer waits for any of it.
        """
        model = self.model()
        start = self._monotonic()
        waits = [
            wish.timeout_s if timeout_s is None else min(timeout_s, wish.timeout_s or timeout_s) for wish in wishes
        ]
        asked = [(wish, None if wait_s is None else start + wait_s) for wish, wait_s in zip(wishes, waits, strict=True)]
        if model.ranker.cost * len(wishes) <= LOOP_WORK:
            rankings = self._rank(model.ranker, asked, model.loop_buffer)
        else:
            rankings = await asyncio.get_running_loop().run_in_executor(
                self._worker, self._rank, model.ranker, asked, model.worker_buffer
            )
        return self._counted(model, rankings, self._monotonic() - start)

    async def explain(self, wish: Wish, video_ids: Sequence[str]) -> Told:
        """Says what the scores of some videos are made of.

        Args:
            wish: As the ranking was asked for.
            video_ids: The videos.

        Raises:
            FailedPreconditionError: While there is no model.
        """
        ranker = self.model().ranker
        # Few ask, so it brings its own buffer and never keeps rankings from the loop.
        told = await asyncio.get_running_loop().run_in_executor(
            self._worker, lambda: explain(ranker, wish, video_ids, ranker.buffer())
        )
        return Told(ranker.bundle, told)

    def close(self) -> None:
        """Ends the worker thread; what still waits in it is dropped."""
        self._worker.shutdown(wait=True, cancel_futures=True)

    def _rank(self, ranker: Ranker, asked: Sequence[tuple[Wish, float | None]], buffer: Floats) -> list[Ranking]:
        return [
            ranker.rank(wish, buffer) if deadline is None or self._monotonic() < deadline else DROPPED
            for wish, deadline in asked
        ]

    def _counted(self, model: LoadedModel, rankings: list[Ranking], elapsed_s: float) -> Ranked:
        dropped = sum(ranking.dropped for ranking in rankings)
        if dropped:
            self._metrics.dropped(dropped)
            if dropped == len(rankings):
                raise DeadlinePassedError
        unknown = sum(not ranking.known for ranking in rankings) - dropped
        self._metrics.ranked(RankRecord(len(rankings) - dropped, unknown, elapsed_s))
        return Ranked(model.ranker.bundle, rankings)
