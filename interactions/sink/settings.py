"""Settings of the sink."""

from pydantic import Field

from runtime.settings import CommonSettings


class SinkSettings(CommonSettings):
    """What the sink needs to know."""

    sink_host: str = Field("127.0.0.1", description="Address to listen on.")
    sink_http_port: int = Field(8083, ge=0, le=65535, description="Port of HTTP; 0: a free one.")
