"""Settings of the insights."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from pydantic import Field, field_validator

from runtime.secrets.files import SecretFile
from runtime.settings import CommonSettings

_WATCHED: Final = r"(bridge|interactions|scorer|sink|trainer)=https?://[^\s@,=]+"


class InsightsSettings(CommonSettings):
    """What the insights need to know."""

    insights_host: str = Field("127.0.0.1", description="Address to listen on.")
    insights_grpc_port: int = Field(50054, ge=0, le=65535, description="Port of gRPC; 0: a free one.")
    insights_http_port: int = Field(8090, ge=0, le=65535, description="Port of HTTP; 0: a free one.")
    insights_outcome_window_min: int = Field(
        1_440, ge=1, le=43_200, description="Minutes after which a served video that nobody touched counts as ignored."
    )
    insights_late_after_ms: int = Field(
        150, ge=20, le=10_000, description="A page that took longer came late: the bridges' FEED_BRIDGE_DEADLINE_MS."
    )
    insights_replica_url: str = Field(
        "",
        pattern=r"^$|^postgresql://",
        description="postgresql://… of a read replica, which answers and reports are read from; empty: the database.",
    )
    insights_token_key_path: SecretFile = Field(
        "", description="The bridges' secret (FEED_BRIDGE_TOKEN_KEY_PATH); empty: theirs in the data directory."
    )

    insights_segment_write_key_file: SecretFile = Field(
        "", description="Path of a file that holds the write key of a source of Segment; empty: Segment is not told."
    )
    insights_segment_host: str = Field(
        "https://api.segment.io", pattern=r"^https?://[^\s@]+$", description="Address of Segment."
    )

    insights_watched: str = Field(
        "bridge=http://127.0.0.1:8080/metrics,interactions=http://127.0.0.1:8081/metrics,"
        "scorer=http://127.0.0.1:8082/metrics,sink=http://127.0.0.1:8083/metrics,trainer=http://127.0.0.1:8084/metrics",
        pattern=rf"^$|^{_WATCHED}(,{_WATCHED})*$",
        description="name=URL,… of the metrics of the processes that the page tells of; several may have one name.",
    )

    insights_models_dir: Path | None = Field(
        None, description="Where the trainer's bundles live; empty: models in the data directory."
    )
    insights_model_public_key_path: Path | None = Field(
        None, description="Public half of the key that signs bundles; empty: keys/model_signing.pub in the data dir."
    )

    insights_oidc_client_id: str = Field(
        "", description="The page's name at the issuer (FEED_AUTH_ISSUER); empty: people sign in by API keys only."
    )
    insights_oidc_client_secret_file: SecretFile = Field(
        "", description="Path of a file with what it proves that with; empty: PKCE alone."
    )

    @field_validator("insights_segment_write_key_file", "insights_oidc_client_secret_file")
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
    def oidc_client_secret(self) -> str:
        """What the page proves to the issuer who it is with; empty: nothing."""
        path = self.insights_oidc_client_secret_file
        return Path(path).read_text(encoding="utf-8").strip() if path else ""

    @property
    def models_dir(self) -> Path:
        """Where bundles live."""
        return self.insights_models_dir or self.data_dir / "models"

    @property
    def model_public_key_path(self) -> Path:
        """The key that bundles are verified with."""
        return self.insights_model_public_key_path or self.data_dir / "keys" / "model_signing.pub"

    @property
    def watched(self) -> Sequence[tuple[str, str]]:
        """Whose metrics are looked at: name and URL."""
        pairs = (each.partition("=") for each in self.insights_watched.split(",") if each)
        return [(name, url) for name, _, url in pairs]

    @property
    def outcome_window(self) -> timedelta:
        """How long a served video may wait for its outcome."""
        return timedelta(minutes=self.insights_outcome_window_min)

    @property
    def token_key_path(self) -> Path:
        """The secret that the bridges prove with what they served."""
        given = self.insights_token_key_path
        return Path(given) if given else self.data_dir / "bridge" / "token.key"
