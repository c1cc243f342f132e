"""Which model is in use: offered, verified, tested, then swapped in at once; and its prior, made anew now and then."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import structlog

from runtime.models.model_bundle import BundleError, BundleFault, Floats, ModelBundle
from runtime.models.popularity import Popularity, PopularityError
from scorer.domain.candidates import VideoIndex
from scorer.domain.prior import fresh_prior
from scorer.domain.ranker import Ranker
from scorer.domain.self_test import fault_of
from scorer.metrics import ScorerMetrics
from scorer.ports import ModelSource

_LOG = structlog.get_logger(__name__)

# A file that is not there or cannot be read now may be later; every other fault stays in the files.
_PASSING: Final = frozenset({BundleFault.MISSING, BundleFault.UNREADABLE})


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """A model that serves.

    Args:
        ranker: Ranks with it.
        loaded_time: When it was taken into use, UTC.
        counted_until: Time of the newest interaction that its prior counts, UTC.
        loop_buffer: The event loop's room for scores.
        worker_buffer: The worker thread's.
    """

    ranker: Ranker
    loaded_time: datetime
    counted_until: datetime
    loop_buffer: Floats
    worker_buffer: Floats

    @property
    def version(self) -> str:
        """Its version."""
        return self.ranker.bundle.manifest.model_version


class Refusals:
    """Remembers what was refused: it is told once, and not read again unless its fault may pass."""

    def __init__(self) -> None:
        self._bad: str | None = None
        self._told: tuple[str, BundleFault] | None = None

    def has(self, model_version: str) -> bool:
        """Tells whether a model is known to be bad."""
        return model_version == self._bad

    def add(self, model_version: str, fault: BundleFault) -> bool:
        """Notes a refusal; says whether it is news."""
        self._bad = None if fault in _PASSING else model_version
        is_news = self._told != (model_version, fault)
        self._told = (model_version, fault)
        return is_news

    def clear(self) -> None:
        """Forgets them."""
        self._bad = self._told = None


class ModelSlot:
    """Holds the model in use and takes another one when it is offered and good.

    Args:
        source: Where models come from.
        metrics: Hears of swaps and refusals.
        open_index: Opens a bundle's index; raises BundleError when it must not be used.
    """

    def __init__(
        self,
        source: ModelSource,
        metrics: ScorerMetrics,
        open_index: Callable[[ModelBundle], VideoIndex | None] = lambda _bundle: None,
    ) -> None:
        self._source = source
        self._metrics = metrics
        self._open_index = open_index
        self._refusals = Refusals()
        self._counted: Popularity | None = None
        self._stamp: int | None = None
        self.current: LoadedModel | None = None

    def offered(self) -> str | None:
        """Returns a version worth loading: the live one, unless it serves already or is known to be bad."""
        try:
            version = self._source.live_version()
        except BundleError as error:
            self.refuse("LIVE", error)
            return None
        serving = self.current.version if self.current else None
        return None if version is None or version == serving or self._refusals.has(version) else version

    def load(self, model_version: str) -> LoadedModel:
        """Reads, verifies and tests a model; changes nothing, so that it may run beside the serving.

        Raises:
            BundleError: When it must not serve.
        """
        bundle = self._source.read(model_version)
        index = self._open_index(bundle)
        # Opened, the file is no longer needed: 80 MB for a million videos.
        bundle = replace(bundle, index=None)
        ranker = Ranker(bundle, index)
        fault = fault_of(ranker)
        if fault:
            raise BundleError(BundleFault.SELF_TEST, fault)
        data_until = bundle.manifest.data_until
        loaded = LoadedModel(ranker, datetime.now(UTC), data_until, ranker.buffer(), ranker.buffer())
        return self.with_fresh_prior(loaded)

    def swap(self, model: LoadedModel) -> None:
        """Takes a model into use; calls that run finish with the one they began with."""
        before = self.current.version if self.current else None
        self.current = model
        self._refusals.clear()
        self._metrics.swapped(model.ranker.bundle.manifest)
        self._metrics.prior_of(model.counted_until)
        _LOG.info("scorer.model_swapped", model_version=model.version, before=before)

    def popularity_counted(self) -> int | None:
        """Returns the stamp of a count of popularity that was not looked at yet; None when there is none."""
        stamp = self._source.popularity_stamp()
        return None if stamp == self._stamp else stamp

    def freshened(self, stamp: int) -> LoadedModel | None:
        """Reads a count and returns the model in use with the prior by it; None: it stays as it is.

        Changes nothing that serves, so that it may run beside it.

        Args:
            stamp: What `popularity_counted` returned.
        """
        self._stamp = stamp
        try:
            self._counted = self._source.popularity()
        except PopularityError as error:
            _LOG.error("scorer.popularity_refused", error=str(error))
            return None
        current = self.current
        return None if current is None else self.with_fresh_prior(current)

    def freshen(self, model: LoadedModel) -> None:
        """Takes the model in use with another prior."""
        self.current = model
        self._metrics.prior_of(model.counted_until)

    def refuse(self, model_version: str, error: BundleError) -> None:
        """Notes that a model was not taken, once; unless the fault may pass, it is not read again."""
        if not self._refusals.add(model_version, error.fault):
            return
        self._metrics.refused()
        _LOG.error(
            "scorer.model_refused",
            model_version=model_version,
            fault=error.fault.value,
            error=str(error),
            serving=self.current.version if self.current else None,
        )

    def with_fresh_prior(self, model: LoadedModel) -> LoadedModel:
        """Returns a model with the prior by the newest count; the same one where its own is better."""
        counted = self._counted
        prior = None if counted is None else fresh_prior(model.ranker.bundle, counted)
        if counted is None or prior is None:
            return model
        return replace(model, ranker=model.ranker.with_prior(prior), counted_until=counted.counted_until)
