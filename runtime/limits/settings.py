"""How much callers may ask of a process: `FEED_LIMIT_*`."""

from pydantic import Field
from pydantic_settings import BaseSettings


class LimitSettings(BaseSettings):
    """Rates and connections; each process counts for itself, and each of its workers, too."""

    limit_user_rps: float = Field(50.0, ge=0, le=1e6, description="Requests a second of one user; 0: no limit.")
    limit_user_burst: int = Field(2_000, ge=1, le=1_000_000, description="Requests of one user at once after a rest.")
    limit_peer_rps: float = Field(10_000.0, ge=0, le=1e6, description="Requests a second of one address; 0: no limit.")
    limit_connections: int = Field(4_000, ge=1, le=1_000_000, description="Open connections, over gRPC and HTTP each.")
    limit_peer_connections: int = Field(1_000, ge=1, le=1_000_000, description="Of these, of one address over HTTP.")
    limit_peer_burst: int = Field(20_000, ge=1, le=1_000_000, description="Requests of one address at once.")
