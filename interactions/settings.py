"""Settings of the ingest service."""

from pydantic import Field

from runtime.settings import CommonSettings


class InteractionsSettings(CommonSettings):
    """What the ingest service needs to know."""

    interactions_host: str = Field("127.0.0.1", description="Address to listen on.")
    interactions_grpc_port: int = Field(50053, ge=0, le=65535)
    interactions_http_port: int = Field(8081, ge=0, le=65535)
    interactions_publish_timeout_ms: int = Field(
        5_000, ge=10, le=60_000, description="Longest wait until events are durable, in milliseconds."
    )
    interactions_journal_max_mb: int = Field(
        600, ge=1, le=100_000, description="Size from which the embedded journal refuses events, in megabytes."
    )
