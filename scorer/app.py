"""Composition root of the scorer."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog
from prometheus_client import CollectorRegistry
from starlette.routing import BaseRoute

from runtime.models.model_bundle import BundleError, BundleFault
from runtime.servers.grpc_server import GrpcService
from runtime.traces.opening import OpenTraces, open_traces
from scorer.adapters.index_faiss import open_index
from scorer.adapters.memory_glibc import give_memory_back
from scorer.adapters.models_files import FolderModels
from scorer.adapters.scoring_grpc import grpc_service
from scorer.candidate import CandidateSlot
from scorer.metrics import CandidateMetrics, ScorerMetrics
from scorer.models import ModelSlot
from scorer.service import MODEL_MISSING, ScoringService
from scorer.settings import ScorerSettings
from scorer.shadow import Shadow
from scorer.telemetry import Listeners
from scorer.tracing import TracedRankings

if TYPE_CHECKING:
    from scorer.adapters.telemetry_dogstatsd import DogStatsdTelemetry

_LOG = structlog.get_logger(__name__)


class ScorerApp:
    """The scorer as a process.

    Args:
        slot: Holds the model.
        candidates: Hold the model on trial.
        shadow: Ranks with it for nobody to see.
        service: What answers.
        registry: Its metrics.
        poll_s: How often to look for other models, seconds.
        traces: The traces, if there are any; ended by who serves it.
        dogstatsd: The Datadog agent, if there is one.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # what the process is made of, each by its name
        self,
        slot: ModelSlot,
        candidates: CandidateSlot,
        shadow: Shadow,
        service: ScoringService,
        registry: CollectorRegistry,
        poll_s: float,
        traces: OpenTraces | None = None,
        dogstatsd: "DogStatsdTelemetry | None" = None,
    ) -> None:
        self._slot = slot
        self._candidates = candidates
        self._shadow = shadow
        self._service = service
        self._poll_s = poll_s
        self.grpc_services: Sequence[GrpcService] = (grpc_service(service),)
        self.http_routes: Sequence[BaseRoute] = ()
        self.registry = registry
        self.traces = traces
        self._dogstatsd = dogstatsd

    async def start(self) -> None:
        """Loads the live model and the candidate, if there are any, and watches for others and for counts."""
        changed = await self._follow()
        self._watch_task = asyncio.create_task(self._watch(changed=changed), name="models")

    async def stop(self) -> None:
        """Stops watching and ends the workers."""
        self._watch_task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._watch_task
        await self._shadow.stop()
        self._service.close()
        if self._dogstatsd is not None:
            await self._dogstatsd.stop()

    def not_ready(self) -> str | None:
        """Says why nothing can be ranked now."""
        return None if self._slot.current else MODEL_MISSING

    async def _watch(self, *, changed: bool) -> None:
        while True:
            await asyncio.sleep(self._poll_s)
            try:
                if changed:
                    # By now the calls that began with the models before are over, and those are gone.
                    await asyncio.to_thread(give_memory_back)
                changed = await self._follow()
            except Exception:  # noqa: BLE001  # the serving model must outlive whatever a bad one does
                _LOG.exception("scorer.watch_failed")

    async def _follow(self) -> bool:
        """Follows what the trainer offers; tells whether another model serves or is tried now."""
        before = self._versions()
        await self._take_offered()
        await self._follow_candidate()
        await self._freshen()
        return self._versions() != before

    def _versions(self) -> tuple[str | None, str | None]:
        live, tried = self._slot.current, self._candidates.current
        return live.version if live else None, tried.model.version if tried else None

    async def _take_offered(self) -> None:
        version = self._slot.offered()
        if version is None:
            return
        model = self._candidates.promoted(version)
        if model is None:
            try:
                model = await asyncio.to_thread(self._slot.load, version)
            except BundleError as error:
                self._slot.refuse(version, error)
                return
        self._slot.swap(model)

    async def _follow_candidate(self) -> None:
        candidate = self._candidates.offered()
        if candidate is None:
            return
        try:
            model = await asyncio.to_thread(self._slot.load, candidate.model_version)
        except BundleError as error:
            self._candidates.refuse(candidate.model_version, error)
        except Exception as error:  # noqa: BLE001  # such as no memory for a second model: the live one serves on
            told = f"{type(error).__name__}: {error}"
            self._candidates.refuse(candidate.model_version, BundleError(BundleFault.SELF_TEST, told))
        else:
            self._candidates.take(candidate, model)

    async def _freshen(self) -> None:
        stamp = self._slot.popularity_counted()
        if stamp is None:
            return
        model = await asyncio.to_thread(self._slot.freshened, stamp)
        if model is not None:
            self._slot.freshen(model)
        tried = self._candidates.current
        if tried is not None:
            self._candidates.freshen(await asyncio.to_thread(self._slot.with_fresh_prior, tried.model))


def build(settings: ScorerSettings) -> ScorerApp:
    """Builds the process."""
    registry = CollectorRegistry()
    traces = open_traces(settings, registry, "feed-scorer")
    dogstatsd = _dogstatsd(settings)
    metrics, candidate_metrics = ScorerMetrics(registry), CandidateMetrics(registry)
    told = (metrics, *((TracedRankings(),) if traces else ()), *((dogstatsd,) if dogstatsd else ()))
    source = FolderModels(settings.models_dir, settings.public_key_path)
    slot = ModelSlot(source, metrics, open_index)
    candidates = CandidateSlot(source, slot, candidate_metrics)
    shadow = Shadow(candidates, candidate_metrics)
    service = ScoringService(slot, candidates, shadow, Listeners(*told))
    return ScorerApp(slot, candidates, shadow, service, registry, settings.scorer_model_poll_s, traces, dogstatsd)


def _dogstatsd(settings: ScorerSettings) -> "DogStatsdTelemetry | None":
    if not settings.dogstatsd_address:
        return None
    # The library takes a quarter of a second to import; only those who use it pay.
    from scorer.adapters.telemetry_dogstatsd import DogStatsdTelemetry  # noqa: PLC0415

    return DogStatsdTelemetry(settings.dogstatsd_address, settings.datadog_tags("feed-scorer"))
