"""Composition root of the scorer."""

import asyncio
import contextlib
from collections.abc import Sequence

import structlog
from prometheus_client import CollectorRegistry
from starlette.routing import BaseRoute

from runtime.grpc_server import GrpcService
from runtime.model_bundle import BundleError
from scorer.adapters.index_faiss import open_index
from scorer.adapters.memory_glibc import give_memory_back
from scorer.adapters.models_files import FolderModels
from scorer.adapters.scoring_grpc import grpc_service
from scorer.metrics import ScorerMetrics
from scorer.models import ModelSlot
from scorer.service import MODEL_MISSING, ScoringService
from scorer.settings import ScorerSettings

_LOG = structlog.get_logger(__name__)


class ScorerApp:
    """The scorer as a process.

    Args:
        slot: Holds the model.
        service: What answers.
        registry: Its metrics.
        poll_s: How often to look for another model, seconds.
    """

    def __init__(self, slot: ModelSlot, service: ScoringService, registry: CollectorRegistry, poll_s: float) -> None:
        self._slot = slot
        self._service = service
        self._poll_s = poll_s
        self.grpc_services: Sequence[GrpcService] = (grpc_service(service),)
        self.http_routes: Sequence[BaseRoute] = ()
        self.registry = registry

    async def start(self) -> None:
        """Loads the live model, if there is one, and watches for others and for counts of popularity."""
        taken = await self._take_offered()
        await self._freshen()
        self._watch_task = asyncio.create_task(self._watch(taken=taken), name="models")

    async def stop(self) -> None:
        """Stops watching and ends the worker."""
        self._watch_task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._watch_task
        self._service.close()

    def not_ready(self) -> str | None:
        """Says why nothing can be ranked now."""
        return None if self._slot.current else MODEL_MISSING

    async def _watch(self, *, taken: bool) -> None:
        while True:
            await asyncio.sleep(self._poll_s)
            try:
                if taken:
                    # By now the calls that began with the model before are over, and it is gone.
                    await asyncio.to_thread(give_memory_back)
                taken = await self._take_offered()
                await self._freshen()
            except Exception:  # noqa: BLE001  # the serving model must outlive whatever a bad one does
                _LOG.exception("scorer.watch_failed")

    async def _take_offered(self) -> bool:
        """Tells whether another model is in use now."""
        version = self._slot.offered()
        if version is None:
            return False
        try:
            model = await asyncio.to_thread(self._slot.load, version)
        except BundleError as error:
            self._slot.refuse(version, error)
            return False
        self._slot.swap(model)
        return True

    async def _freshen(self) -> None:
        stamp = self._slot.popularity_counted()
        if stamp is None:
            return
        model = await asyncio.to_thread(self._slot.freshened, stamp)
        if model is not None:
            self._slot.freshen(model)


def build(settings: ScorerSettings) -> ScorerApp:
    """Builds the process."""
    registry = CollectorRegistry()
    metrics = ScorerMetrics(registry)
    slot = ModelSlot(FolderModels(settings.models_dir, settings.public_key_path), metrics, open_index)
    return ScorerApp(slot, ScoringService(slot, metrics), registry, settings.scorer_model_poll_s)
