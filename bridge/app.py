"""Composition root of the bridge."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry
from starlette.routing import BaseRoute

from bridge.adapters import recommendations_grpc, recommendations_http
from bridge.adapters.breaker_pybreaker import PybreakerState
from bridge.adapters.consent_database import DatabaseConsent
from bridge.adapters.corrections_database import DatabaseCorrections
from bridge.adapters.decisions_database import DatabaseDecisions
from bridge.adapters.experiments_database import DatabaseExperiments
from bridge.adapters.history_database import DatabaseHistory, DatabasePages
from bridge.adapters.lists_database import DatabaseLists
from bridge.adapters.lists_file import FileLists
from bridge.adapters.recent_database import DatabaseRecent
from bridge.adapters.scorer_grpc import GrpcScorer
from bridge.adapters.scorer_key_file import ScorerKeyFile, no_metadata
from bridge.adapters.switch_file import SwitchFile
from bridge.adapters.system import SystemChance, SystemClock
from bridge.adapters.user_lists_database import DatabaseUserLists
from bridge.adapters.users_database import DatabaseUsers
from bridge.admission import Admission
from bridge.attempts import Attempts
from bridge.batching import BatchingScorer
from bridge.consent import ConsentFollower
from bridge.corrections import CorrectionsFollower
from bridge.domain.breaker import Breaker, State
from bridge.domain.history import FollowedPage
from bridge.domain.limiter import AdaptiveLimit
from bridge.domain.overload import Overload
from bridge.domain.recent import RecentPolicy
from bridge.domain.retry import RetryBudget
from bridge.event_log import EventLog
from bridge.experiments import ExperimentsFollower
from bridge.explain import Explainer
from bridge.fallback_events import FallbackEvents
from bridge.following import Follower
from bridge.health import HealthWatch
from bridge.history import KeptHistory, page_follower
from bridge.knowledge import Knowledge
from bridge.lists import ListKeeper
from bridge.metrics import BridgeMetrics, Readings
from bridge.personal import PersonalRung
from bridge.pool import Member, ScorerPool
from bridge.ports import Scorer
from bridge.recent import RecentFollower
from bridge.served import ServedLog
from bridge.served_metrics import ServedMetrics
from bridge.served_pages import ServedPages
from bridge.service import RecommendationService, ServicePolicy
from bridge.settings import BridgeSettings
from bridge.strangers import KeptStrangers
from bridge.switch import SwitchWatch
from bridge.telemetry import BreakerMoved, Observer, Observers
from bridge.tracing import TracedCalls, TracedPages, TracedScorer
from eventlog.metrics import EventlogMetrics
from eventlog.opening import open_publisher
from eventlog.reopening import ReopeningPublisher
from eventlog.topics import SERVED
from runtime.secrets.secret_ring import SecretRing
from runtime.servers.front_door import FrontDoor
from runtime.servers.grpc_server import GrpcService
from runtime.tls.identity import tls_of
from runtime.traces.opening import OpenTraces, open_traces
from runtime.traces.tracing import Span
from storage.database import Database

if TYPE_CHECKING:
    from bridge.adapters.telemetry_dogstatsd import DogStatsdTelemetry


# How long Kafka may take to confirm records before the journal takes over: nobody waits for them but the end.
_SERVED_KAFKA_WAIT_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class BridgeApp:
    """The bridge, put together by `build`.

    Args:
        service: What answers.
        explainer: Says why a video is on a page.
        door: Measures how long requests wait.
        lists: What serves when no scorer does.
        clients: The connections to the scorers.
        health: Watches scorers that are down.
        switch: Follows the operators' switch.
        recent: Follows what users do; None: nobody does.
        history: Knows what users have seen and been sent; None: nobody does.
        pages: Follows for it what is served; None: nobody does.
        corrections: Follows what editors change; None: nobody does.
        strangers: Knows of users whom no model knows; None: nobody does.
        experiments: Follows which experiments there are; None: nobody does.
        consent: Follows who wants to be known.
        served: Tells the log of served pages; None: nobody does.
        database: The pool.
        registry: The metrics.
        events: What makes events of fallbacks.
        dogstatsd: The Datadog agent, if there is one.
        traces: The traces, if there are any; ended by who serves it.
    """

    service: RecommendationService
    explainer: Explainer
    door: FrontDoor
    lists: ListKeeper
    clients: Sequence[GrpcScorer]
    health: HealthWatch
    switch: SwitchWatch
    recent: RecentFollower | None
    history: KeptHistory | None
    pages: Follower[FollowedPage] | None
    corrections: CorrectionsFollower | None
    strangers: KeptStrangers | None
    experiments: ExperimentsFollower | None
    consent: ConsentFollower
    served: ServedLog | None
    database: Database
    registry: CollectorRegistry
    events: FallbackEvents
    dogstatsd: "DogStatsdTelemetry | None"
    traces: OpenTraces | None

    @property
    def grpc_services(self) -> Sequence[GrpcService]:
        """What it offers over gRPC."""
        return (recommendations_grpc.grpc_service(self.service, self.explainer, self.door),)

    @property
    def http_routes(self) -> Sequence[BaseRoute]:
        """What it offers over HTTP."""
        return recommendations_http.routes(self.service, self.explainer)

    async def start(self) -> None:
        """Loads the fallback lists and starts the background tasks."""
        self.events.start()
        if self.served is not None:
            await self.served.start()
        await self.lists.start()
        await self.consent.start()
        if self.corrections is not None:
            await self.corrections.start()
        if self.experiments is not None:
            await self.experiments.start()
        await self.switch.start()
        self.health.start()
        if self.recent is not None:
            self.recent.start()
        if self.pages is not None:
            self.pages.start()

    async def stop(self) -> None:
        """Closes everything in reverse order."""
        if self.pages is not None:
            await self.pages.stop()
        if self.recent is not None:
            await self.recent.stop()
        if self.history is not None:
            await self.history.stop()
        if self.strangers is not None:
            await self.strangers.stop()
        await self.health.stop()
        await self.switch.stop()
        if self.experiments is not None:
            await self.experiments.stop()
        if self.corrections is not None:
            await self.corrections.stop()
        await self.consent.stop()
        await self.lists.stop()
        for client in self.clients:
            await client.close()
        await self.database.close()
        if self.served is not None:
            await self.served.stop()
        await self.events.stop()
        if self.dogstatsd is not None:
            await self.dogstatsd.stop()

    def not_ready(self) -> str | None:
        """Says that there is nothing to fall back on; a missing scorer is no reason."""
        return "no trending and no editorial list yet" if self.lists.empty else None


def build(settings: BridgeSettings) -> BridgeApp:
    """Puts the bridge together. Call it in the event loop that will run it: channels belong to one loop."""
    clock = SystemClock()
    registry = CollectorRegistry()
    metrics = BridgeMetrics(registry)
    dogstatsd = _dogstatsd(settings)
    log = EventLog(clock.monotonic)
    sinks: tuple[EventLog | DogStatsdTelemetry, ...] = (log,) if dogstatsd is None else (log, dogstatsd)
    events = FallbackEvents(sinks, clock)
    served = _served(settings, clock, registry)
    told = () if served is None else (ServedPages(served, clock),)
    traces = open_traces(settings, registry, "feed-bridge")
    # Before those that pass the page on: what they tell says whether its trace is kept.
    traced = (TracedPages(),) if traces else ()
    observer = Observers((metrics, *traced, events, *sinks, *told))
    database = _database(settings)
    lists = _lists(settings, database, clock, observer)
    clients = _clients(settings)
    pool = _pool(settings, clients, observer, traced=traces is not None)
    budget = _budget(settings, clock)
    chance = SystemChance()
    attempts = Attempts(settings.attempt_policy(), pool, budget, clock, chance, observer)
    door = recommendations_grpc.front_door(settings.bridge_max_waiting)
    limit = AdaptiveLimit(settings.limit_policy(), clock.monotonic())
    admission = Admission(Overload(settings.overload_policy()), limit, door, clock, chance, observer)
    history = _history(settings, database, clock, observer)
    pages = _pages(settings, database, history, clock, observer)
    recent = _recent(settings, database, history, clock, observer)
    corrections = _corrections(settings, database, clock, observer)
    strangers = _strangers(settings, database, clock, observer)
    experiments = _experiments(settings, database, clock, observer)
    consent = _consent(settings, database, (recent, history, strangers), clock, observer)
    knowledge = Knowledge(settings.wish_policy(), recent, history, corrections, strangers, experiments, consent)
    calls = {client.target: client for client in clients}
    explainer = Explainer(knowledge, pool, calls, DatabaseDecisions(database), clock, chance, observer)
    service = RecommendationService(
        _policy(settings), knowledge, explainer, attempts, lists, admission, clock, chance, observer
    )
    health = HealthWatch(
        tuple(zip(clients, pool.members, strict=True)),
        settings.bridge_health_check_ms / 1000,
        settings.bridge_attempt_timeout_ms / 1000,
        clock,
    )
    breakers = {member.scorer.target: member.breaker for member in pool.members}
    switch = SwitchWatch(SwitchFile(settings.bridge_dir), breakers, clock)
    metrics.watch(_readings(service, budget, lists, pool, limit))
    _watch_followers(metrics, recent, history, pages, corrections, experiments)
    metrics.watch_consent(lambda: consent.count, consent.age_s)
    return BridgeApp(
        service,
        explainer,
        door,
        lists,
        clients,
        health,
        switch,
        recent,
        history,
        pages,
        corrections,
        strangers,
        experiments,
        consent,
        served,
        database,
        registry,
        events,
        dogstatsd,
        traces,
    )


def _clients(settings: BridgeSettings) -> tuple[GrpcScorer, ...]:
    path = settings.bridge_scorer_key_file
    proof = ScorerKeyFile(Path(path)).metadata if path else no_metadata
    tls = tls_of(settings)
    return tuple(GrpcScorer(target, proof, tls) for target in dict.fromkeys(settings.scorer_target_list))


def _budget(settings: BridgeSettings, clock: SystemClock) -> RetryBudget:
    return RetryBudget(
        ratio=settings.bridge_retry_budget_ratio,
        per_second=settings.bridge_retry_budget_per_s,
        now=clock.monotonic(),
    )


def _watch_followers(
    metrics: BridgeMetrics,
    recent: RecentFollower | None,
    history: KeptHistory | None,
    pages: Follower[FollowedPage] | None,
    corrections: CorrectionsFollower | None,
    experiments: ExperimentsFollower | None,
) -> None:
    if recent is not None:
        metrics.watch_recent(lambda: recent.count, recent.age_s)
    if history is not None and pages is not None:
        metrics.watch_history(lambda: history.users, lambda: history.memory_bytes, pages.age_s)
    if corrections is not None:
        metrics.watch_corrections(lambda: corrections.count, lambda: corrections.senseless, corrections.age_s)
    if experiments is not None:
        metrics.watch_experiments(lambda: experiments.count, experiments.age_s)


def _dogstatsd(settings: BridgeSettings) -> "DogStatsdTelemetry | None":
    if not settings.dogstatsd_address:
        return None
    # The library takes a quarter of a second and 11 MB to import; only those who use it pay.
    from bridge.adapters.telemetry_dogstatsd import DogStatsdTelemetry  # noqa: PLC0415

    return DogStatsdTelemetry(settings.dogstatsd_address, settings.datadog_tags("feed-bridge"))


def _database(settings: BridgeSettings) -> Database:
    """One connection refreshes the lists, each table that is followed has one, and each read at a time of a user's."""
    personal, history = settings.personal_policy(), settings.history_policy()
    following = bool(settings.recent_policy() or history) + bool(history) + (settings.corrections_policy() is not None)
    following += 1 + (settings.experiments_policy() is not None)  # who wants to be known is always followed
    strangers = settings.strangers_policy()
    reads = (personal.reads if personal else 0) + (history.all_reads if history else 0)
    reads += strangers.reads if strangers else 0
    return Database(settings.effective_database_url, pool_size=1 + following + reads)


def _history(
    settings: BridgeSettings, database: Database, clock: SystemClock, observer: Observer
) -> KeptHistory | None:
    policy = settings.history_policy()
    return KeptHistory(DatabaseHistory(database, policy.windows_s), policy, clock, observer) if policy else None


def _pages(
    settings: BridgeSettings, database: Database, history: KeptHistory | None, clock: SystemClock, observer: Observer
) -> Follower[FollowedPage] | None:
    if history is None:
        return None
    return page_follower(DatabasePages(database), history, settings.bridge_recent_poll_ms / 1000, clock, observer)


def _recent(
    settings: BridgeSettings, database: Database, history: KeptHistory | None, clock: SystemClock, observer: Observer
) -> RecentFollower | None:
    """The history needs what users do even where nothing is folded in."""
    policy = settings.recent_policy()
    if policy is None and history is not None:
        policy = RecentPolicy(events=0, poll_s=settings.bridge_recent_poll_ms / 1000)
    return RecentFollower(DatabaseRecent(database), policy, clock, observer, history) if policy else None


def _strangers(
    settings: BridgeSettings, database: Database, clock: SystemClock, observer: Observer
) -> KeptStrangers | None:
    policy = settings.strangers_policy()
    return KeptStrangers(DatabaseUsers(database), policy, clock, observer) if policy else None


def _corrections(
    settings: BridgeSettings, database: Database, clock: SystemClock, observer: Observer
) -> CorrectionsFollower | None:
    policy = settings.corrections_policy()
    if policy is None:
        return None
    reader = DatabaseCorrections(database, policy.most)
    return CorrectionsFollower(reader, FileLists(settings.bridge_dir), policy, clock, observer)


def _experiments(
    settings: BridgeSettings, database: Database, clock: SystemClock, observer: Observer
) -> ExperimentsFollower | None:
    policy = settings.experiments_policy()
    if policy is None:
        return None
    return ExperimentsFollower(DatabaseExperiments(database), FileLists(settings.bridge_dir), policy, clock, observer)


def _consent(
    settings: BridgeSettings,
    database: Database,
    memories: Sequence[RecentFollower | KeptHistory | KeptStrangers | None],
    clock: SystemClock,
    observer: Observer,
) -> ConsentFollower:
    remembering = [memory for memory in memories if memory is not None]

    def forget(user_id: str) -> None:
        for memory in remembering:
            memory.forget(user_id)

    store, poll_s = FileLists(settings.bridge_dir), settings.bridge_consent_poll_ms / 1000
    return ConsentFollower(DatabaseConsent(database), store, poll_s, forget, clock, observer)


def _served(settings: BridgeSettings, clock: SystemClock, registry: CollectorRegistry) -> ServedLog | None:
    if not settings.bridge_served_enabled:
        return None
    opened = partial(
        open_publisher,
        settings,
        topics=(SERVED,),
        telemetry=EventlogMetrics(registry),
        journal_max_bytes=settings.bridge_served_journal_max_mb * 1_000_000,
        spool=settings.bridge_dir / "served",
        kafka_wait_s=_SERVED_KAFKA_WAIT_S,
    )
    metrics = ServedMetrics(registry)
    log = ServedLog(ReopeningPublisher(opened), clock, metrics, max_records=settings.bridge_served_queue)
    metrics.watch(lambda: log.count)
    return log


def _lists(settings: BridgeSettings, database: Database, clock: SystemClock, observer: Observer) -> ListKeeper:
    reader = DatabaseLists(database, settings.list_policy(), settings.editorial_path)
    policy = settings.personal_policy()
    personal = PersonalRung(DatabaseUserLists(database), policy, clock, observer) if policy else None
    return ListKeeper(reader, FileLists(settings.bridge_dir), settings.refresh_policy(), clock, observer, personal)


def _policy(settings: BridgeSettings) -> ServicePolicy:
    return ServicePolicy(
        deadline=settings.deadline_policy(),
        token_ttl_s=settings.bridge_token_ttl_s,
        token_keys=SecretRing(settings.token_key_path).secrets,
        proves_served=settings.bridge_served_tokens_enabled,
        exploration=settings.bridge_exploration,
    )


def _pool(settings: BridgeSettings, clients: Sequence[GrpcScorer], observer: Observer, *, traced: bool) -> ScorerPool:
    members = [
        Member(_scorer(settings, client, observer, traced=traced), _breaker(settings, client.target, observer))
        for client in clients
    ]
    return ScorerPool(members, settings.bridge_warm_up_ms / 1000)


def _scorer(settings: BridgeSettings, client: GrpcScorer, observer: Observer, *, traced: bool) -> Scorer:
    if not traced:
        return BatchingScorer(client, settings.batch_policy(), observer)
    attempts: dict[int, Span] = {}
    calls = TracedCalls(client, attempts)
    return TracedScorer(BatchingScorer(calls, settings.batch_policy(), observer), attempts)


def _breaker(settings: BridgeSettings, target: str, observer: Observer) -> Breaker:
    def moved(old: State, new: State) -> None:
        observer.breaker_moved(BreakerMoved(target, old, new))

    return Breaker(settings.breaker_policy(), PybreakerState(target, moved))


def _readings(
    service: RecommendationService, budget: RetryBudget, lists: ListKeeper, pool: ScorerPool, limit: AdaptiveLimit
) -> Readings:
    return Readings(
        in_flight=lambda: service.in_flight,
        retry_tokens=lambda: budget.tokens,
        limit=lambda: limit.limit,
        asking=lambda: limit.in_flight,
        trending_age_s=lists.trending_age_s,
        breakers={member.scorer.target: partial(getattr, member.breaker, "state") for member in pool.members},
        forced={member.scorer.target: partial(getattr, member.breaker, "mode") for member in pool.members},
        serving={member.scorer.target: partial(getattr, member, "serving") for member in pool.members},
    )
