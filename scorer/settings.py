"""Settings of the scorer."""

from pathlib import Path

from pydantic import Field

from runtime.settings import CommonSettings


class ScorerSettings(CommonSettings):
    """What the scorer needs to know."""

    scorer_host: str = Field("127.0.0.1", description="Address to listen on.")
    scorer_grpc_port: int = Field(50052, ge=0, le=65535, description="Port of gRPC; 0: a free one.")
    scorer_http_port: int = Field(8082, ge=0, le=65535, description="Port of HTTP; 0: a free one.")
    scorer_models_dir: Path | None = Field(None, description="Where bundles live; empty: models in the data dir.")
    scorer_model_public_key_path: Path | None = Field(
        None, description="Key that bundles must be signed with; empty: keys/model_signing.pub in the data dir."
    )
    scorer_model_poll_s: float = Field(1.0, gt=0, le=3600, description="How often to look for another model, seconds.")

    @property
    def models_dir(self) -> Path:
        """Where bundles live."""
        return self.scorer_models_dir or self.data_dir / "models"

    @property
    def public_key_path(self) -> Path:
        """The key that bundles must be signed with."""
        return self.scorer_model_public_key_path or self.data_dir / "keys" / "model_signing.pub"
