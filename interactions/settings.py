"""Settings of the ingest service."""

from pydantic import Field

from runtime.settings import CommonSettings

# As a browser says it: no path, no wildcard.
_ORIGIN = r"https?://[A-Za-z0-9.\-\[\]:]+"


class InteractionsSettings(CommonSettings):
    """What the ingest service needs to know."""

    interactions_host: str = Field("127.0.0.1", description="Address to listen on.")
    interactions_grpc_port: int = Field(50053, ge=0, le=65535, description="Port of gRPC; 0: a free one.")
    interactions_http_port: int = Field(8081, ge=0, le=65535, description="Port of HTTP; 0: a free one.")
    interactions_publish_timeout_ms: int = Field(
        5_000, ge=10, le=60_000, description="Longest wait until events are durable, in milliseconds."
    )
    interactions_kafka_wait_ms: int = Field(
        40,
        ge=0,
        le=60_000,
        description="How long Kafka may take before the journal takes an event, in milliseconds; 0: it takes all.",
    )
    interactions_journal_max_mb: int = Field(
        600, ge=1, le=100_000, description="Size from which the journal refuses events, in megabytes."
    )
    interactions_consent_poll_ms: int = Field(
        2_000, ge=50, le=4_000, description="Time between two looks for whose events are not kept."
    )
    interactions_cors_origins: str = Field(
        "",
        pattern=rf"^$|^{_ORIGIN}(,{_ORIGIN})*$",
        description="https://app.example,… : pages of these origins may call /api/track; empty: only its own.",
    )

    @property
    def cors_origins(self) -> tuple[str, ...]:
        """Origins of pages that may call the web clients' route."""
        return tuple(filter(None, self.interactions_cors_origins.split(",")))
