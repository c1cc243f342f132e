"""Metrics of the scorer."""

import time
from datetime import datetime
from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from runtime.models.candidate_file import Candidate, Mode
from runtime.models.model_bundle import Manifest
from scorer.telemetry import RankRecord

# A ranking takes 0.1 ms for 7,500 videos and 2 ms for 100,000.
_RANK_BUCKETS_S: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15)

# How many of the best videos two rankings are compared by: about a first page, and what a scroll goes through.
OVERLAP_DEPTHS: Final = (10, 50)
_OVERLAP_BUCKETS: Final = tuple(tenth / 10 for tenth in range(11))

# Said while there is no model: older than any alert's bound.
NO_MODEL_AGE_S: Final = float("inf")


class SwapResult(StrEnum):
    """What became of a model that was offered."""

    SWAPPED = "swapped"
    REFUSED = "refused"


class TrialResult(StrEnum):
    """What became of a ranking that a candidate was to make; `dropped`: shadows had had their time."""

    RANKED = "ranked"
    FAILED = "failed"
    DROPPED = "dropped"


class ScorerMetrics:
    """The scorer's metrics.

    Args:
        registry: Where they are shown.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._duration = Histogram(
            "feed_scorer_rank_duration_seconds",
            "Time to rank for the users of one call.",
            buckets=_RANK_BUCKETS_S,
            registry=registry,
        )
        self._users = Counter("feed_scorer_ranked_users", "Users ranked for.", ("known",), registry=registry)
        self._dropped = Counter("feed_scorer_dropped", "Rankings not made: their time had passed.", registry=registry)
        self._swaps = Counter("feed_scorer_model_swaps", "Models offered.", ("result",), registry=registry)
        self._age = Gauge("feed_scorer_model_age_seconds", "Time since the model was trained.", registry=registry)
        self._age.set(NO_MODEL_AGE_S)
        self._popularity_age = Gauge(
            "feed_scorer_popularity_age_seconds",
            "Time since the newest interaction that the prior of the model in use counts.",
            registry=registry,
        )
        self._popularity_age.set(NO_MODEL_AGE_S)
        self._info = Gauge(
            "feed_scorer_model_info", "1 for the model in use.", ("model_version", "algorithm"), registry=registry
        )
        for known in ("true", "false"):
            self._users.labels(known)
        for result in SwapResult:
            self._swaps.labels(result.value)

    def ranked(self, record: RankRecord) -> None:
        """Counts one answered call."""
        self._duration.observe(record.elapsed_s)
        self._users.labels("false").inc(record.unknown_users)
        self._users.labels("true").inc(record.users - record.unknown_users)

    def dropped(self, rankings: int) -> None:
        """Counts rankings that nobody waited for."""
        self._dropped.inc(rankings)

    def refused(self) -> None:
        """Counts one model that was not taken."""
        self._swaps.labels(SwapResult.REFUSED.value).inc()

    def swapped(self, manifest: Manifest) -> None:
        """Shows the model that is now in use."""
        self._swaps.labels(SwapResult.SWAPPED.value).inc()
        self._info.clear()
        self._info.labels(manifest.model_version, manifest.algorithm).set(1)
        trained = manifest.created_time.timestamp()
        self._age.set_function(lambda: time.time() - trained)

    def prior_of(self, counted_until: datetime) -> None:
        """Shows until when the prior in use counts."""
        counted = counted_until.timestamp()
        self._popularity_age.set_function(lambda: time.time() - counted)


class CandidateMetrics:
    """The metrics of the model that is tried.

    Args:
        registry: Where they are shown.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._info = Gauge(
            "feed_scorer_candidate_info",
            "1 for the model that is tried.",
            ("model_version", "algorithm", "mode"),
            registry=registry,
        )
        self._share = Gauge("feed_scorer_candidate_share", "Share of the users it is tried on.", registry=registry)
        self._swaps = Counter("feed_scorer_candidate_swaps", "Candidates offered.", ("result",), registry=registry)
        self._rankings = Counter(
            "feed_scorer_candidate_rankings", "Rankings by candidates.", ("mode", "result"), registry=registry
        )
        self._duration = Histogram(
            "feed_scorer_shadow_duration_seconds",
            "Time to rank for one user with the candidate.",
            buckets=_RANK_BUCKETS_S,
            registry=registry,
        )
        self._overlap = Histogram(
            "feed_scorer_shadow_overlap_ratio",
            "Share of the best videos that the live model and the candidate have in common.",
            ("depth",),
            buckets=_OVERLAP_BUCKETS,
            registry=registry,
        )
        for result in SwapResult:
            self._swaps.labels(result.value)
        for became in TrialResult:
            self._rankings.labels(Mode.SHADOW.value, became.value)
        for became in (TrialResult.RANKED, TrialResult.FAILED):
            self._rankings.labels(Mode.CANARY.value, became.value)
        for depth in OVERLAP_DEPTHS:
            self._overlap.labels(str(depth))

    def taken(self, manifest: Manifest, candidate: Candidate) -> None:
        """Shows the model that is tried now, and how."""
        self._swaps.labels(SwapResult.SWAPPED.value).inc()
        self._info.clear()
        self._info.labels(manifest.model_version, manifest.algorithm, candidate.mode.value).set(1)
        self._share.set(candidate.share)

    def ended(self) -> None:
        """Shows that none is tried."""
        self._info.clear()
        self._share.set(0)

    def refused(self) -> None:
        """Counts one candidate that was not taken."""
        self._swaps.labels(SwapResult.REFUSED.value).inc()

    def served(self, rankings: int) -> None:
        """Counts rankings that users of a canary were answered with."""
        self._rankings.labels(Mode.CANARY.value, TrialResult.RANKED.value).inc(rankings)

    def failed(self, mode: Mode) -> None:
        """Counts a ranking that failed."""
        self._rankings.labels(mode.value, TrialResult.FAILED.value).inc()

    def shadowed(self, elapsed_s: float) -> None:
        """Counts a ranking that nobody sees, and its time, seconds."""
        self._rankings.labels(Mode.SHADOW.value, TrialResult.RANKED.value).inc()
        self._duration.observe(elapsed_s)

    def shadow_dropped(self) -> None:
        """Counts a ranking that nobody would have seen, not made."""
        self._rankings.labels(Mode.SHADOW.value, TrialResult.DROPPED.value).inc()

    def overlapped(self, depth: int, share: float) -> None:
        """Notes how far two rankings agree."""
        self._overlap.labels(str(depth)).observe(share)
