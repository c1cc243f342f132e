"""Settings of the insights."""

from datetime import timedelta
from pathlib import Path

from pydantic import Field

from runtime.settings import CommonSettings


class InsightsSettings(CommonSettings):
    """What the insights need to know."""

    insights_host: str = Field("127.0.0.1", description="Address to listen on.")
    insights_grpc_port: int = Field(50054, ge=0, le=65535)
    insights_http_port: int = Field(8090, ge=0, le=65535)
    insights_outcome_window_min: int = Field(
        1_440, ge=1, le=43_200, description="Minutes after which a served video that nobody touched counts as ignored."
    )
    insights_token_key_path: str = Field(
        "", description="The bridges' secret (FEED_BRIDGE_TOKEN_KEY_PATH); empty: theirs in the data directory."
    )

    @property
    def outcome_window(self) -> timedelta:
        """How long a served video may wait for its outcome."""
        return timedelta(minutes=self.insights_outcome_window_min)

    @property
    def token_key_path(self) -> Path:
        """The secret that the bridges prove with what they served."""
        given = self.insights_token_key_path
        return Path(given) if given else self.data_dir / "bridge" / "token.key"
