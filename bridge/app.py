"""Composition root of the bridge."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from prometheus_client import CollectorRegistry
from starlette.routing import BaseRoute

from bridge.adapters import recommendations_grpc, recommendations_http
from bridge.adapters.breaker_pybreaker import PybreakerState
from bridge.adapters.lists_database import DatabaseLists
from bridge.adapters.scorer_grpc import GrpcScorer
from bridge.adapters.system import SystemChance, SystemClock
from bridge.domain.breaker import Breaker, State
from bridge.domain.retry import RetryBudget
from bridge.event_log import EventLog
from bridge.health import HealthWatch
from bridge.lists import ListKeeper
from bridge.metrics import BridgeMetrics, Readings
from bridge.pool import Member, ScorerPool
from bridge.service import RecommendationService, ServicePolicy
from bridge.settings import BridgeSettings
from bridge.telemetry import BreakerMoved, Observer, Observers
from runtime.grpc_server import GrpcService
from runtime.signing import load_or_create_secret
from storage.database import Database


@dataclass(frozen=True, slots=True)
class BridgeApp:
    """The bridge, put together by `build`.

    Args:
        service: What answers.
        lists: What serves when no scorer does.
        clients: The connections to the scorers.
        health: Watches scorers that are down.
        database: The pool.
        registry: The metrics.
    """

    service: RecommendationService
    lists: ListKeeper
    clients: Sequence[GrpcScorer]
    health: HealthWatch
    database: Database
    registry: CollectorRegistry

    @property
    def grpc_services(self) -> Sequence[GrpcService]:
        """What it offers over gRPC."""
        return (recommendations_grpc.grpc_service(self.service),)

    @property
    def http_routes(self) -> Sequence[BaseRoute]:
        """What it offers over HTTP."""
        return recommendations_http.routes(self.service)

    async def start(self) -> None:
        """Loads the fallback lists and starts the background tasks."""
        await self.lists.start()
        self.health.start()

    async def stop(self) -> None:
        """Closes everything in reverse order."""
        await self.health.stop()
        await self.lists.stop()
        for client in self.clients:
            await client.close()
        await self.database.close()

    def not_ready(self) -> str | None:
        """Says that there is nothing to fall back on; a missing scorer is no reason."""
        return "no trending and no editorial list yet" if self.lists.empty else None


def build(settings: BridgeSettings) -> BridgeApp:
    """Puts the bridge together. Call it in the event loop that will run it: channels belong to one loop."""
    clock = SystemClock()
    registry = CollectorRegistry()
    metrics = BridgeMetrics(registry)
    observer = Observers((metrics, EventLog(clock.monotonic)))
    database = Database(settings.effective_database_url, pool_size=1)
    reader = DatabaseLists(database, settings.list_policy(), settings.editorial_path)
    lists = ListKeeper(reader, settings.bridge_dir, settings.bridge_trending_refresh_ms / 1000, clock, observer)
    clients = tuple(GrpcScorer(target) for target in dict.fromkeys(settings.scorer_target_list))
    pool = ScorerPool([Member(client, _breaker(settings, client.target, observer)) for client in clients])
    budget = RetryBudget(
        ratio=settings.bridge_retry_budget_ratio,
        per_second=settings.bridge_retry_budget_per_s,
        now=clock.monotonic(),
    )
    service = RecommendationService(_policy(settings), pool, lists, budget, clock, SystemChance(), observer)
    watched = [(client, member.breaker) for client, member in zip(clients, pool.members, strict=True)]
    health = HealthWatch(
        watched, settings.bridge_health_check_ms / 1000, settings.bridge_attempt_timeout_ms / 1000, clock
    )
    metrics.watch(_readings(service, budget, lists, pool))
    return BridgeApp(service, lists, clients, health, database, registry)


def _policy(settings: BridgeSettings) -> ServicePolicy:
    return ServicePolicy(
        deadline=settings.deadline_policy(),
        retry=settings.retry_policy(),
        candidates=settings.bridge_candidates,
        max_in_flight=settings.bridge_max_in_flight,
        token_ttl_s=settings.bridge_token_ttl_s,
        token_key=load_or_create_secret(settings.token_key_path),
    )


def _breaker(settings: BridgeSettings, target: str, observer: Observer) -> Breaker:
    def moved(old: State, new: State) -> None:
        observer.breaker_moved(BreakerMoved(target, old, new))

    return Breaker(settings.breaker_policy(), PybreakerState(target, moved))


def _readings(service: RecommendationService, budget: RetryBudget, lists: ListKeeper, pool: ScorerPool) -> Readings:
    return Readings(
        in_flight=lambda: service.in_flight,
        retry_tokens=lambda: budget.tokens,
        trending_age_s=lists.trending_age_s,
        breakers={member.scorer.target: partial(getattr, member.breaker, "state") for member in pool.members},
    )
