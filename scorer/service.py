"""Ranks with the model in use, for callers who still wait."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Final, TypeVar

import grpc
import msgspec

from runtime.errors import FailedPreconditionError, RequestError
from runtime.models.model_bundle import Floats, ModelBundle
from scorer.candidate import CandidateSlot, OnTrial
from scorer.domain.explain import Explained, explain
from scorer.domain.wish import DROPPED, Ranking, Wish
from scorer.models import LoadedModel, ModelSlot
from scorer.shadow import Shadow
from scorer.telemetry import RankRecord, Telemetry

# More multiplications than this (about 1 ms) leave the event loop's thread: NumPy lets go of the GIL.
LOOP_WORK: Final = 4_000_000

MODEL_MISSING: Final = "MODEL_MISSING"

T = TypeVar("T")


class DeadlinePassedError(RequestError):
    """Nobody waits for this any more; it was not ranked."""

    grpc_code = grpc.StatusCode.DEADLINE_EXCEEDED
    http_status = HTTPStatus.GATEWAY_TIMEOUT

    def __init__(self) -> None:
        super().__init__("DEADLINE", "the deadline passed before the ranking was done")


class InUse(msgspec.Struct, frozen=True, gc=False):
    """The models that a call is answered with: it finishes with those it began with."""

    live: LoadedModel
    on_trial: OnTrial | None

    def cost(self, wishes: Sequence[Wish]) -> int:
        """Returns the multiplications of all rankings that somebody waits for."""
        return sum(self.model_for(wish).ranker.cost for wish in wishes)

    def model_for(self, wish: Wish) -> LoadedModel:
        """Returns the model that ranks."""
        return self.live if self.on_trial is None or not self.on_trial.serves(wish) else self.on_trial.model

    @property
    def data_until(self) -> datetime:
        """Time until which each of them knows all interactions, UTC: callers tell what came later, whoever ranks."""
        live = self.live.ranker.bundle.manifest.data_until
        return live if self.on_trial is None else min(live, self.on_trial.model.ranker.bundle.manifest.data_until)


class Ranked(msgspec.Struct, frozen=True, gc=False):
    """What a call is answered.

    Args:
        rankings: One a wish.
        bundles: The model that each comes from.
        data_until: Time until which the models in use know all interactions, UTC.
    """

    rankings: list[Ranking]
    bundles: list[ModelBundle]
    data_until: datetime


@dataclass(frozen=True, slots=True)
class Told:
    """What scores are made of, and the model they come from."""

    bundle: ModelBundle
    explained: Explained


class ScoringService:
    """Answers wishes with the model in use, and those of a canary's users with the candidate.

    Args:
        slot: Holds the model.
        candidates: Hold the model on trial.
        shadow: Ranks with it for nobody to see.
        telemetry: Told of each call.
        monotonic: Gives the time that deadlines are on, seconds.
    """

    def __init__(
        self,
        slot: ModelSlot,
        candidates: CandidateSlot,
        shadow: Shadow,
        telemetry: Telemetry,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._slot = slot
        self._candidates = candidates
        self._shadow = shadow
        self._telemetry = telemetry
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
        """Ranks for each wish; a wish whose own time has passed is dropped, the others are not.

        Args:
            wishes: What is asked.
            timeout_s: How long the caller still waits, seconds; None: as long as it takes.

        Raises:
            FailedPreconditionError: While there is no model.
            DeadlinePassedError: When the caller no longer waits for any of it.
        """
        in_use = self._in_use()
        start = self._monotonic()
        waits = [
            wish.timeout_s if timeout_s is None else min(timeout_s, wish.timeout_s or timeout_s) for wish in wishes
        ]
        asked = [(wish, None if wait_s is None else start + wait_s) for wish, wait_s in zip(wishes, waits, strict=True)]
        if in_use.cost(wishes) <= LOOP_WORK:
            ranked = self._rank(in_use, asked, _loop_buffer)
        else:
            ranked = await asyncio.get_running_loop().run_in_executor(
                self._worker, self._rank, in_use, asked, _worker_buffer
            )
        self._count(ranked.rankings, self._monotonic() - start)
        self._candidates.served(in_use.on_trial, ranked.bundles)
        self._shadow.follow(in_use.on_trial, wishes, ranked.rankings)
        return ranked

    async def explain(self, wish: Wish, video_ids: Sequence[str]) -> Told:
        """Says what the scores of some videos are made of.

        Args:
            wish: As the ranking was asked for.
            video_ids: The videos.

        Raises:
            FailedPreconditionError: While there is no model.
        """
        in_use = self._in_use()

        def work(model: LoadedModel) -> Explained:
            # Few ask, so it brings its own buffer and never keeps rankings from the loop.
            return explain(model.ranker, wish, video_ids, model.ranker.buffer())

        told, bundle = await asyncio.get_running_loop().run_in_executor(self._worker, self._done, in_use, wish, work)
        return Told(bundle, told)

    def close(self) -> None:
        """Ends the worker thread; what still waits in it is dropped."""
        self._worker.shutdown(wait=True, cancel_futures=True)

    def _in_use(self) -> InUse:
        return InUse(self.model(), self._candidates.current)

    def _rank(
        self,
        in_use: InUse,
        asked: Sequence[tuple[Wish, float | None]],
        buffer_of: Callable[[LoadedModel], Floats],
    ) -> Ranked:
        ranked = Ranked([], [], in_use.data_until)
        for wish, deadline in asked:
            ranking, bundle = DROPPED, in_use.live.ranker.bundle
            if deadline is None or self._monotonic() < deadline:
                ranking, bundle = self._ranking(in_use, wish, buffer_of)
            ranked.rankings.append(ranking)
            ranked.bundles.append(bundle)
        return ranked

    def _ranking(
        self, in_use: InUse, wish: Wish, buffer_of: Callable[[LoadedModel], Floats]
    ) -> tuple[Ranking, ModelBundle]:
        return self._done(in_use, wish, lambda model: model.ranker.rank(wish, buffer_of(model)))

    def _done(self, in_use: InUse, wish: Wish, work: Callable[[LoadedModel], T]) -> tuple[T, ModelBundle]:
        """Does some work with the model that ranks; where the candidate fails, with the live one."""
        on_trial, live = in_use.on_trial, in_use.live
        if on_trial is not None and on_trial.serves(wish):
            try:
                return work(on_trial.model), on_trial.model.ranker.bundle
            except Exception as error:  # noqa: BLE001  # whatever a candidate does, its users are served
                self._candidates.failed(on_trial, error)
        return work(live), live.ranker.bundle

    def _count(self, rankings: Sequence[Ranking], elapsed_s: float) -> None:
        dropped = sum(ranking.dropped for ranking in rankings)
        if dropped:
            self._telemetry.dropped(dropped)
            if dropped == len(rankings):
                raise DeadlinePassedError
        unknown = sum(not ranking.known for ranking in rankings) - dropped
        self._telemetry.ranked(RankRecord(len(rankings) - dropped, unknown, elapsed_s))


def _loop_buffer(model: LoadedModel) -> Floats:
    return model.loop_buffer


def _worker_buffer(model: LoadedModel) -> Floats:
    return model.worker_buffer
