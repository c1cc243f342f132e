"""Which experiments a request is part of, and what they make of it; follows what is started and stopped."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, Protocol

from bridge.documents import Document, DocumentFollower
from bridge.domain.experiments import UNTREATED, ExperimentsPolicy, KnownExperiments, Treatment, treatment_of
from bridge.ports import Clock, ExperimentReader, ListStore
from bridge.telemetry import Observer
from feed.recommendations.v1 import recommendations_pb2
from feed.scoring.v1 import scoring_pb2
from runtime.errors import InvalidArgumentError, Violation
from runtime.experiments import Given, Parameter, given

EXPERIMENTS: Final = "experiments"

# Sets of variants whose treatment is kept.
_TREATMENTS: Final = 1_000

Request = recommendations_pb2.GetRecommendationsRequest


class Experiments(Protocol):
    """Knows what experiments make of requests."""

    def of(self, request: Request) -> Treatment:
        """Returns what is made of a request; raises InvalidArgumentError."""


class NoExperiments:
    """There are none."""

    def of(self, request: Request) -> Treatment:
        """Returns that nothing is made of it; raises InvalidArgumentError."""
        return _refuse() if request.experiment_overrides else UNTREATED


class ExperimentsFollower(DocumentFollower[KnownExperiments]):
    """Knows the experiments. While the database cannot be read, those that were read last go on.

    Args:
        reader: Reads them.
        store: Where they are kept, so that a start without the database has them.
        policy: How.
        clock: Time.
        observer: Who is told of troubles.
    """

    def __init__(
        self, reader: ExperimentReader, store: ListStore, policy: ExperimentsPolicy, clock: Clock, observer: Observer
    ) -> None:
        document = Document(EXPERIMENTS, KnownExperiments, self._read, self._use, policy.poll_s)
        super().__init__(document, store, clock, observer)
        self._reader = reader
        self._overrides = policy.overrides
        self._use(KnownExperiments())

    @property
    def count(self) -> int:
        """How many are running."""
        return len(self._known.running)

    def of(self, request: Request) -> Treatment:
        """Returns what they make of a request.

        Raises:
            InvalidArgumentError: When a tester asks for a variant that may not be had.
        """
        if request.experiment_overrides:
            return self._chosen(request)
        if not self._known.running:
            return UNTREATED
        found = tuple(given(self._known.running, request.user_id))
        return self._treatment(tuple((each.experiment, each.variant.name) for each in found))

    def _chosen(self, request: Request) -> Treatment:
        """Returns the variants that the user is given, but those that a tester chose."""
        if not self._overrides:
            _refuse()
        variants = {each.experiment: each for each in given(self._known.running, request.user_id)}
        for number, wanted in enumerate(request.experiment_overrides):
            found = self._variants.get((wanted.experiment, wanted.variant))
            if found is None:
                field = f"experimentOverrides[{number}]"
                raise InvalidArgumentError([Violation(field, "must name a variant of an experiment that is not over")])
            variants[wanted.experiment] = found
        return treatment_of(variants.values(), is_test=True)

    async def _read(self) -> KnownExperiments | None:
        found = await self._reader.known()
        return None if found == self._known else found

    def _use(self, known: KnownExperiments) -> None:
        self._known = known
        self._variants = {
            (each.name, variant.name): Given(each.name, variant)
            for each in (*known.running, *known.drafts)
            for variant in each.variants
        }
        # Made anew with the variants: what is kept of before must not outlive them.
        self._treatment = lru_cache(maxsize=_TREATMENTS)(self._made)

    def _made(self, names: Sequence[tuple[str, str]]) -> Treatment:
        return treatment_of(self._variants[each] for each in names)


def staged(stages: scoring_pb2.Stages, parameters: Mapping[Parameter, float]) -> scoring_pb2.Stages:
    """Returns what rankings go through, with what experiments set otherwise."""
    changed = scoring_pb2.Stages()
    changed.CopyFrom(stages)
    for name, value in parameters.items():
        match name:
            case Parameter.PRIOR:
                changed.skip_prior = not value
            case Parameter.FOLD_IN:
                changed.skip_fold_in = not value
            case Parameter.MAX_RUN:
                changed.max_run = int(value)
            case _:
                setattr(changed, name.value, value)
    return changed


def _refuse() -> Treatment:
    raise InvalidArgumentError([Violation("experimentOverrides", "is switched off here")])
