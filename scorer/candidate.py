"""The candidate: a model that is tried beside the one that serves, as the trainer's file says."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import structlog

from runtime.models.candidate_file import CANDIDATE_FILE, Candidate, Mode
from runtime.models.model_bundle import BundleError, ModelBundle
from scorer.domain.trial import is_tried_on
from scorer.domain.wish import Choice, Wish
from scorer.metrics import CandidateMetrics
from scorer.models import LoadedModel, ModelSlot, Refusals
from scorer.ports import ModelSource

_LOG = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class OnTrial:
    """A model that is tried: which, how, and on whom."""

    model: LoadedModel
    candidate: Candidate

    def serves(self, wish: Wish) -> bool:
        """Tells whether it ranks instead of the live model."""
        if wish.choice is not Choice.AS_TRIED:
            return wish.choice is Choice.CANDIDATE
        return self.candidate.mode is Mode.CANARY and self._is_tried_on(wish.user_id)

    def shadows(self, wish: Wish) -> bool:
        """Tells whether it ranks beside the live model."""
        is_asked = wish.choice is Choice.CANDIDATE
        return self.candidate.mode is Mode.SHADOW and not is_asked and self._is_tried_on(wish.user_id)

    def _is_tried_on(self, user_id: str) -> bool:
        return is_tried_on(user_id, self.candidate.model_version, self.candidate.share)


class CandidateSlot:
    """Holds the model on trial, and follows what the trainer says of it.

    Args:
        source: Where models come from.
        live: Holds the model that serves.
        metrics: Hears of trials.
    """

    def __init__(self, source: ModelSource, live: ModelSlot, metrics: CandidateMetrics) -> None:
        self._source = source
        self._live = live
        self._metrics = metrics
        self._refusals = Refusals()
        self._failed: tuple[str, type[Exception]] | None = None
        self.current: OnTrial | None = None

    def offered(self) -> Candidate | None:
        """Returns a candidate worth loading: unless it is on trial already, known to be bad, or serves.

        A trial that the trainer no longer wants ends here; one that is to go on otherwise does so at once.
        """
        try:
            candidate = self._source.candidate()
        except BundleError as error:
            self.refuse(CANDIDATE_FILE, error)
            return None
        live, current = self._live.current, self.current
        if candidate is None or (live is not None and candidate.model_version == live.version):
            self._end()
            self._refusals.clear()
            return None
        if current is not None and current.model.version == candidate.model_version:
            if current.candidate != candidate:
                self.take(candidate, current.model)
            return None
        self._end()
        return None if self._refusals.has(candidate.model_version) else candidate

    def take(self, candidate: Candidate, model: LoadedModel) -> None:
        """Begins a trial, or goes on with it otherwise."""
        self.current = OnTrial(model, candidate)
        self._refusals.clear()
        self._metrics.taken(model.ranker.bundle.manifest, candidate)
        _LOG.info(
            "scorer.candidate_taken", model_version=model.version, mode=candidate.mode.value, share=candidate.share
        )

    def refuse(self, model_version: str, error: BundleError) -> None:
        """Notes that a candidate was not taken, once; unless the fault may pass, it is not read again."""
        if not self._refusals.add(model_version, error.fault):
            return
        self._metrics.refused()
        _LOG.error("scorer.candidate_refused", model_version=model_version, fault=error.fault.value, error=str(error))

    def promoted(self, model_version: str) -> LoadedModel | None:
        """Returns the model on trial if it is to serve now: it was verified and need not be read again."""
        current = self.current
        if current is None or current.model.version != model_version:
            return None
        return replace(current.model, loaded_time=datetime.now(UTC))

    def freshen(self, model: LoadedModel) -> None:
        """Goes on with the model on trial with another prior."""
        if self.current is not None:
            self.current = replace(self.current, model=model)

    def served(self, on_trial: OnTrial | None, bundles: Sequence[ModelBundle]) -> None:
        """Counts the rankings of a call that are the candidate's.

        Args:
            on_trial: The model that was on trial when the call began.
            bundles: The model that each ranking comes from.
        """
        if on_trial is not None:
            self._metrics.served(sum(bundle is on_trial.model.ranker.bundle for bundle in bundles))

    def failed(self, on_trial: OnTrial, error: Exception) -> None:
        """Notes that a ranking failed; tells of each kind of failure in a row once."""
        self._metrics.failed(on_trial.candidate.mode)
        failure = (on_trial.model.version, type(error))
        if self._failed != failure:
            self._failed = failure
            _LOG.error("scorer.candidate_failed", model_version=on_trial.model.version, exc_info=error)

    def _end(self) -> None:
        if self.current is None:
            return
        _LOG.info("scorer.candidate_ended", model_version=self.current.model.version)
        self.current = None
        self._metrics.ended()
