"""Settings of the bridge."""

from pathlib import Path

from pydantic import Field

from bridge.attempts import AttemptPolicy
from bridge.batching import BatchPolicy
from bridge.domain.breaker import BreakerPolicy
from bridge.domain.corrections import CorrectionsPolicy
from bridge.domain.deadline import DeadlinePolicy
from bridge.domain.experiments import ExperimentsPolicy
from bridge.domain.hedge import HedgePolicy
from bridge.domain.history import HistoryPolicy, Rule
from bridge.domain.limiter import LimitPolicy
from bridge.domain.lists import RefreshPolicy
from bridge.domain.overload import OverloadPolicy
from bridge.domain.personal import PersonalPolicy
from bridge.domain.recent import RecentPolicy
from bridge.domain.retry import RetryPolicy
from bridge.domain.trending import ListPolicy
from bridge.knowledge import WishPolicy
from bridge.strangers import StrangersPolicy
from feed.scoring.v1 import scoring_pb2
from runtime.secrets.files import SecretFile
from runtime.settings import CommonSettings

# More calls than are ever counted: a limit that is never reached.
_NEVER = 2**62


class BridgeSettings(CommonSettings):
    """What the bridge knows. The reasons for the numbers are in the policies that take them."""

    bridge_host: str = Field("127.0.0.1", description="Address to listen on.")
    bridge_grpc_port: int = Field(50051, ge=0, le=65535, description="Port of gRPC; 0: a free one.")
    bridge_http_port: int = Field(8080, ge=0, le=65535, description="Port of HTTP; 0: a free one.")
    bridge_workers: int = Field(1, ge=1, le=64, description="Processes on the same ports; about one a core.")

    bridge_deadline_ms: int = Field(150, ge=20, le=10_000, description="Longest time from arrival to answer.")
    bridge_scorer_key_file: SecretFile = Field(
        "", description="Path of a file with the API key or token that scorers are shown; empty: none."
    )
    bridge_attempt_timeout_ms: int = Field(60, ge=5, le=10_000, description="Longest time of one call to a scorer.")
    bridge_fallback_reserve_ms: int = Field(10, ge=1, le=1_000, description="Kept back for the fallback page.")
    bridge_min_attempt_ms: int = Field(15, ge=1, le=1_000, description="No call is started with less.")

    bridge_max_retries: int = Field(2, ge=0, le=2, description="Calls to scorers after the first, for one request.")
    bridge_retry_backoff_ms: int = Field(5, ge=0, le=1_000, description="Longest wait before the first retry.")
    bridge_retry_budget_ratio: float = Field(0.1, ge=0, le=1, description="Retries that a request earns.")
    bridge_retry_budget_per_s: float = Field(5.0, ge=0, le=1_000, description="Retries that a second earns.")

    bridge_hedge_enabled: bool = Field(False, description="Ask a second scorer once the first takes long.")
    bridge_hedge_percentile: float = Field(95.0, ge=50, le=99.9, description="Longer than this share takes: hedged.")

    bridge_batch_users: int = Field(64, ge=1, le=256, description="Most requests that share a call; 1: none do.")
    bridge_batch_hold_ms: int = Field(5, ge=0, le=50, description="Longest wait for a call under way to end.")
    bridge_warm_up_ms: int = Field(5_000, ge=0, le=600_000, description="Until a returned scorer has its full load.")

    bridge_breaker_enabled: bool = Field(True, description="false: the breakers never open.")
    bridge_breaker_window_calls: int = Field(
        50, ge=1, le=10_000, description="How many past calls of a scorer are judged."
    )
    bridge_breaker_window_ms: int = Field(10_000, ge=100, le=600_000, description="How old a judged call may be.")
    bridge_breaker_min_calls: int = Field(
        20, ge=1, le=10_000, description="Fewer calls are not judged by their shares."
    )
    bridge_breaker_consecutive_failures: int = Field(
        10, ge=1, le=10_000, description="So many failures in a row open the breaker."
    )
    bridge_breaker_failure_share: float = Field(
        0.5, gt=0, le=1, description="This share of failures opens the breaker."
    )
    bridge_breaker_slow_share: float = Field(0.5, gt=0, le=1, description="This share of slow calls opens the breaker.")
    bridge_breaker_slow_ms: int = Field(100, ge=1, le=60_000, description="A call that took longer is slow.")
    bridge_breaker_open_ms: int = Field(1_000, ge=10, le=600_000, description="First open time; it doubles.")
    bridge_breaker_open_max_ms: int = Field(30_000, ge=10, le=600_000, description="Longest open time.")
    bridge_breaker_probes: int = Field(
        3, ge=1, le=100, description="Calls let through at a time when half-open, and successes that close the breaker."
    )
    bridge_breaker_probe_ms: int = Field(
        1_000, ge=10, le=60_000, description="A probe without an answer for longer has failed."
    )
    bridge_health_check_ms: int = Field(250, ge=10, le=60_000, description="While a breaker is open.")

    bridge_candidates: int = Field(80, ge=1, le=1_000, description="Videos to come that a page token carries at most.")
    bridge_shuffle: float = Field(0.1, ge=0, le=1, description="How much two sessions of a user differ; 0: off.")
    bridge_diversity: float = Field(0.1, ge=0, le=1, description="How much like videos are spread; 0: off.")
    bridge_max_run: int = Field(2, ge=0, le=100, description="Most in a row by one author or of one tag; 0: any.")
    bridge_exploration: float = Field(0.02, ge=0, le=0.5, description="Share of places for new videos; 0: none.")
    bridge_prior_enabled: bool = Field(True, description="false: popularity does not count in personal pages.")
    bridge_fold_in_enabled: bool = Field(True, description="false: likes since the training do not count.")
    bridge_max_in_flight: int = Field(
        256, ge=0, le=100_000, description="Requests at a time that ask scorers, at most."
    )
    bridge_limit_enabled: bool = Field(True, description="true: fewer may ask while scorers are slow.")
    bridge_limit_min: int = Field(8, ge=1, le=100_000, description="So many may always ask.")
    bridge_limit_slow_ms: int = Field(45, ge=1, le=10_000, description="Slower answers lower the limit.")
    bridge_max_requests: int = Field(1_024, ge=1, le=100_000, description="At a time; those beyond are refused.")
    bridge_max_waiting: int = Field(
        192, ge=1, le=100_000, description="Calls that gRPC keeps waiting before it refuses."
    )
    bridge_token_ttl_s: int = Field(86_400, ge=60, le=2_592_000, description="How long a page token holds.")
    bridge_token_key_path: SecretFile = Field("", description="Secret of page tokens; empty: in the data directory.")

    bridge_precomputed_enabled: bool = Field(False, description="true: users' own lists are the ladder's first rung.")
    bridge_precomputed_max_age_s: int = Field(172_800, ge=60, le=2_592_000, description="Older lists do not serve.")
    bridge_precomputed_timeout_ms: int = Field(5, ge=1, le=1_000, description="Longest wait for a user's own list.")

    bridge_recent_events: int = Field(
        50_000, ge=0, le=1_000_000, description="Users' newest interactions kept in memory; 0: none are followed."
    )
    bridge_recent_poll_ms: int = Field(500, ge=10, le=60_000, description="Time between two looks for new ones.")

    bridge_strangers: int = Field(
        10_000,
        ge=0,
        le=1_000_000,
        description="Users unknown to the models of whom is kept what else is known; 0: it is not read.",
    )

    bridge_corrections_poll_ms: int = Field(
        2_000, ge=0, le=4_000, description="Time between two looks for editors' corrections; 0: none are followed."
    )

    bridge_consent_poll_ms: int = Field(
        2_000, ge=50, le=4_000, description="Time between two looks for who gets nothing personal."
    )

    bridge_experiments_poll_ms: int = Field(
        2_000, ge=0, le=60_000, description="Time between two looks for experiments; 0: there are none."
    )
    bridge_experiment_overrides: bool = Field(False, description="true: requests may choose variants, for tests.")

    bridge_served_enabled: bool = Field(True, description="false: nothing is told of served pages.")
    bridge_served_tokens_enabled: bool = Field(True, description="false: videos carry no proof of being served.")
    bridge_served_queue: int = Field(
        10_000, ge=1, le=1_000_000, description="Records of served pages that may wait for the log; more are dropped."
    )
    bridge_served_journal_max_mb: int = Field(
        300, ge=1, le=100_000, description="Size from which the journal takes no more of them, in megabytes."
    )

    bridge_seen_watched_h: float = Field(720.0, ge=0, le=87_600, description="Watched ones stay away so long; 0: off.")
    bridge_seen_skipped_h: float = Field(720.0, ge=0, le=87_600, description="The same of skipped ones.")
    bridge_seen_hidden_h: float = Field(8_760.0, ge=0, le=87_600, description="The same of hidden ones.")
    bridge_seen_served_h: float = Field(24.0, ge=0, le=87_600, description="The same of those that were on a page.")
    bridge_history_timeout_ms: int = Field(5, ge=1, le=1_000, description="Longest wait for a user's history.")
    bridge_history_mb: int = Field(30, ge=1, le=10_000, description="Memory for users' histories.")

    bridge_editorial_path: str = Field("", description="JSON array of video ids; empty: the newest active videos.")
    bridge_list_videos: int = Field(500, ge=1, le=10_000, description="Most videos of a fallback list.")
    bridge_trending_refresh_ms: int = Field(30_000, ge=100, le=3_600_000, description="How often what trends is read.")
    bridge_editorial_refresh_ms: int = Field(
        300_000, ge=100, le=86_400_000, description="How often the shipped list is read."
    )
    bridge_trending_half_life_s: int = Field(
        86_400, ge=60, le=31_536_000, description="Age at which an interaction counts half in trending."
    )
    bridge_trending_buckets: int = Field(20_000, ge=1, le=1_000_000, description="Hourly sums taken of a segment.")
    bridge_trending_rising: float = Field(
        2.0, ge=0, le=10, description="How much what grows now comes before what is merely big; 0: not at all."
    )

    @property
    def bridge_dir(self) -> Path:
        """Where the bridge keeps its files."""
        return self.data_dir / "bridge"

    @property
    def token_key_path(self) -> Path:
        """The secret that signs page tokens; every bridge of a deployment must have the same."""
        return Path(self.bridge_token_key_path) if self.bridge_token_key_path else self.bridge_dir / "token.key"

    @property
    def editorial_path(self) -> Path | None:
        """The operator's list, if there is one."""
        return Path(self.bridge_editorial_path) if self.bridge_editorial_path else None

    def deadline_policy(self) -> DeadlinePolicy:
        """Returns the time limits."""
        return DeadlinePolicy(
            total_s=self.bridge_deadline_ms / 1000,
            attempt_s=self.bridge_attempt_timeout_ms / 1000,
            reserve_s=self.bridge_fallback_reserve_ms / 1000,
            minimum_s=self.bridge_min_attempt_ms / 1000,
        )

    def retry_policy(self) -> RetryPolicy:
        """Returns how failed attempts are repeated."""
        return RetryPolicy(self.bridge_max_retries, self.bridge_retry_backoff_ms / 1000)

    def attempt_policy(self) -> AttemptPolicy:
        """Returns the limits of asking scorers."""
        hedge = HedgePolicy(self.bridge_hedge_enabled, self.bridge_hedge_percentile / 100)
        return AttemptPolicy(self.deadline_policy(), self.retry_policy(), hedge)

    def wish_policy(self) -> WishPolicy:
        """Returns what scorers are asked for."""
        stages = scoring_pb2.Stages(
            shuffle=self.bridge_shuffle,
            diversity=self.bridge_diversity,
            max_run=self.bridge_max_run,
            exploration=self.bridge_exploration,
            skip_prior=not self.bridge_prior_enabled,
            skip_fold_in=not self.bridge_fold_in_enabled,
            # Else the model keeps off what it was trained on, whatever the window.
            skip_seen=not self.bridge_seen_watched_h,
        )
        return WishPolicy(self.bridge_candidates, stages, parts=self.bridge_served_enabled)

    def limit_policy(self) -> LimitPolicy:
        """Returns how many requests may ask scorers at a time."""
        fewest = self.bridge_limit_min if self.bridge_limit_enabled else self.bridge_max_in_flight
        return LimitPolicy(
            minimum=min(fewest, self.bridge_max_in_flight),
            maximum=self.bridge_max_in_flight,
            slow_s=self.bridge_limit_slow_ms / 1000,
        )

    def overload_policy(self) -> OverloadPolicy:
        """Returns what is done with requests that come too many at once."""
        usable_s = max(0, self.bridge_deadline_ms - self.bridge_fallback_reserve_ms) / 1000
        return OverloadPolicy(
            shed_wait_s=usable_s - min(self.bridge_attempt_timeout_ms / 1000, usable_s / 2),
            refuse_wait_s=self.bridge_deadline_ms / 1000,
            max_requests=self.bridge_max_requests,
        )

    def batch_policy(self) -> BatchPolicy:
        """Returns how requests are collected."""
        return BatchPolicy(self.bridge_batch_users, self.bridge_batch_hold_ms / 1000)

    def breaker_policy(self) -> BreakerPolicy:
        """Returns when breakers move."""
        return BreakerPolicy(
            window_calls=self.bridge_breaker_window_calls,
            window_s=self.bridge_breaker_window_ms / 1000,
            min_calls=self.bridge_breaker_min_calls if self.bridge_breaker_enabled else _NEVER,
            consecutive_failures=self.bridge_breaker_consecutive_failures if self.bridge_breaker_enabled else _NEVER,
            failure_share=self.bridge_breaker_failure_share,
            slow_share=self.bridge_breaker_slow_share,
            slow_s=self.bridge_breaker_slow_ms / 1000,
            open_s=self.bridge_breaker_open_ms / 1000,
            open_max_s=self.bridge_breaker_open_max_ms / 1000,
            probes=self.bridge_breaker_probes,
            probe_s=self.bridge_breaker_probe_ms / 1000,
        )

    def refresh_policy(self) -> RefreshPolicy:
        """Returns how often the fallback lists are read."""
        return RefreshPolicy(
            self.bridge_trending_refresh_ms / 1000,
            self.bridge_editorial_refresh_ms / 1000,
            newcomers=self.bridge_exploration > 0,
        )

    def personal_policy(self) -> PersonalPolicy | None:
        """Returns how users' own lists are read; None: they are not."""
        if not self.bridge_precomputed_enabled:
            return None
        return PersonalPolicy(
            max_age_s=float(self.bridge_precomputed_max_age_s),
            wait_s=self.bridge_precomputed_timeout_ms / 1000,
            margin_s=self.bridge_fallback_reserve_ms / 2000,
            videos=self.bridge_candidates,
        )

    def recent_policy(self) -> RecentPolicy | None:
        """Returns how users' newest interactions are followed; None: they are not."""
        if not self.bridge_recent_events:
            return None
        return RecentPolicy(events=self.bridge_recent_events, poll_s=self.bridge_recent_poll_ms / 1000)

    def strangers_policy(self) -> StrangersPolicy | None:
        """Returns how users whom no model knows are read; None: they are not."""
        if not self.bridge_strangers:
            return None
        return StrangersPolicy(
            users=self.bridge_strangers,
            wait_s=self.bridge_history_timeout_ms / 1000,
            margin_s=self.bridge_fallback_reserve_ms / 2000,
        )

    def corrections_policy(self) -> CorrectionsPolicy | None:
        """Returns how editors' corrections are followed; None: they are not."""
        if not self.bridge_corrections_poll_ms:
            return None
        return CorrectionsPolicy(poll_s=self.bridge_corrections_poll_ms / 1000)

    def experiments_policy(self) -> ExperimentsPolicy | None:
        """Returns how experiments are followed; None: there are none."""
        if not self.bridge_experiments_poll_ms:
            return None
        return ExperimentsPolicy(self.bridge_experiments_poll_ms / 1000, self.bridge_experiment_overrides)

    def history_policy(self) -> HistoryPolicy | None:
        """Returns what users have seen that does not come back; None: all of it may."""
        hours = {
            Rule.WATCHED: self.bridge_seen_watched_h,
            Rule.SKIPPED: self.bridge_seen_skipped_h,
            Rule.HIDDEN: self.bridge_seen_hidden_h,
            Rule.SERVED: self.bridge_seen_served_h,
        }
        windows_s = {rule: hour * 3_600 for rule, hour in hours.items() if hour}
        if not windows_s:
            return None
        wait_s = self.bridge_history_timeout_ms / 1000
        return HistoryPolicy(
            windows_s,
            kept_bytes=self.bridge_history_mb * 1_000_000,
            wait_s=wait_s,
            whole_wait_s=5 * wait_s,
            margin_s=self.bridge_fallback_reserve_ms / 2000,
        )

    def list_policy(self) -> ListPolicy:
        """Returns how the fallback lists are made."""
        return ListPolicy(
            half_life_s=float(self.bridge_trending_half_life_s),
            buckets=self.bridge_trending_buckets,
            videos=self.bridge_list_videos,
            rising=self.bridge_trending_rising,
        )
