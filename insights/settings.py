"""Settings of the insights."""

from datetime import timedelta
from pathlib import Path

from pydantic import Field, field_validator

from runtime.settings import CommonSettings


class InsightsSettings(CommonSettings):
    """What the insights need to know."""

    insights_host: str = Field("127.0.0.1", description="Address to listen on.")
    insights_grpc_port: int = Field(50054, ge=0, le=65535)
    insights_http_port: int = Field(8090, ge=0, le=65535)
    insights_outcome_window_min: int = Field(
        1_440, ge=1, le=43_200, description="Minutes after which a served video that nobody touched counts as ignored."
    )
    insights_late_after_ms: int = Field(
        150, ge=20, le=10_000, description="A page that took longer came late: the bridges' FEED_BRIDGE_DEADLINE_MS."
    )
    insights_token_key_path: str = Field(
        "", description="The bridges' secret (FEED_BRIDGE_TOKEN_KEY_PATH); empty: theirs in the data directory."
    )

    insights_segment_write_key_file: str = Field(
        "", description="Path of a file that holds the write key of a source of Segment; empty: Segment is not told."
    )
    insights_segment_host: str = Field(
        "https://api.segment.io", pattern=r"^https?://[^\s@]+$", description="Address of Segment."
    )

    @field_validator("insights_segment_write_key_file")
    @classmethod
    def _holds_a_key(cls, value: str) -> str:
        try:
            if value and not Path(value).read_text(encoding="utf-8").strip():
                raise ValueError("the file is empty")
        except OSError as error:
            raise ValueError(f"the file cannot be read: {error.strerror}") from error
        return value

    @property
    def segment_write_key(self) -> str:
        """Whose source of Segment is told; empty: nobody's."""
        path = self.insights_segment_write_key_file
        return Path(path).read_text(encoding="utf-8").strip() if path else ""

    @property
    def outcome_window(self) -> timedelta:
        """How long a served video may wait for its outcome."""
        return timedelta(minutes=self.insights_outcome_window_min)

    @property
    def token_key_path(self) -> Path:
        """The secret that the bridges prove with what they served."""
        given = self.insights_token_key_path
        return Path(given) if given else self.data_dir / "bridge" / "token.key"
