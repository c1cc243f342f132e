"""Settings of the bridge."""

from pathlib import Path

from pydantic import Field

from bridge.adapters.lists_database import ListPolicy
from bridge.domain.breaker import BreakerPolicy
from bridge.domain.deadline import DeadlinePolicy
from bridge.domain.retry import RetryPolicy
from runtime.settings import CommonSettings

# More calls than are ever counted: a limit that is never reached.
_NEVER = 2**62


class BridgeSettings(CommonSettings):
    """What the bridge knows. The reasons for the numbers are in the policies that take them."""

    bridge_host: str = "127.0.0.1"
    bridge_grpc_port: int = Field(50051, ge=0, le=65535)
    bridge_http_port: int = Field(8080, ge=0, le=65535)

    bridge_deadline_ms: int = Field(150, ge=20, le=10_000, description="Longest time from arrival to answer.")
    bridge_attempt_timeout_ms: int = Field(60, ge=5, le=10_000, description="Longest time of one call to a scorer.")
    bridge_fallback_reserve_ms: int = Field(10, ge=1, le=1_000, description="Kept back for the fallback page.")
    bridge_min_attempt_ms: int = Field(15, ge=1, le=1_000, description="No call is started with less.")

    bridge_max_retries: int = Field(2, ge=0, le=2)
    bridge_retry_backoff_ms: int = Field(5, ge=0, le=1_000, description="Longest wait before the first retry.")
    bridge_retry_budget_ratio: float = Field(0.1, ge=0, le=1, description="Retries that a request earns.")
    bridge_retry_budget_per_s: float = Field(5.0, ge=0, le=1_000, description="Retries that a second earns.")

    bridge_breaker_enabled: bool = Field(True, description="false: the breakers never open.")
    bridge_breaker_window_calls: int = Field(50, ge=1, le=10_000)
    bridge_breaker_window_ms: int = Field(10_000, ge=100, le=600_000)
    bridge_breaker_min_calls: int = Field(20, ge=1, le=10_000)
    bridge_breaker_consecutive_failures: int = Field(10, ge=1, le=10_000)
    bridge_breaker_failure_share: float = Field(0.5, gt=0, le=1)
    bridge_breaker_slow_share: float = Field(0.5, gt=0, le=1)
    bridge_breaker_slow_ms: int = Field(100, ge=1, le=60_000)
    bridge_breaker_open_ms: int = Field(1_000, ge=10, le=600_000, description="First open time; it doubles.")
    bridge_breaker_open_max_ms: int = Field(30_000, ge=10, le=600_000)
    bridge_breaker_probes: int = Field(3, ge=1, le=100)
    bridge_breaker_probe_ms: int = Field(1_000, ge=10, le=60_000)
    bridge_health_check_ms: int = Field(250, ge=10, le=60_000, description="While a breaker is open.")

    bridge_candidates: int = Field(200, ge=1, le=1_000, description="Videos asked of a scorer for a fresh feed.")
    bridge_max_in_flight: int = Field(256, ge=0, le=100_000, description="Requests beyond it are served trending.")
    bridge_token_ttl_s: int = Field(86_400, ge=60, le=2_592_000, description="How long a page token holds.")
    bridge_token_key_path: str = Field("", description="Secret of the page tokens; empty: in the data directory.")

    bridge_editorial_path: str = Field("", description="JSON array of video ids; empty: the newest active videos.")
    bridge_list_videos: int = Field(500, ge=1, le=10_000, description="Most videos of a fallback list.")
    bridge_trending_refresh_ms: int = Field(30_000, ge=100, le=3_600_000)
    bridge_trending_half_life_s: int = Field(86_400, ge=60, le=31_536_000)
    bridge_trending_buckets: int = Field(2_000, ge=1, le=100_000, description="Hourly sums read of a segment.")

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

    def list_policy(self) -> ListPolicy:
        """Returns how the fallback lists are made."""
        return ListPolicy(
            half_life_s=float(self.bridge_trending_half_life_s),
            buckets=self.bridge_trending_buckets,
            videos=self.bridge_list_videos,
        )
