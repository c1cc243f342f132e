"""The channel to a scorer; where certificates change, one with the new ones takes over."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import grpc
import structlog
from grpc_health.v1 import health_pb2_grpc

from feed.scoring.v1 import scoring_pb2_grpc
from runtime.tls.identity import Credentials, TlsFiles

_LOG = structlog.get_logger(__name__)

# How long a new channel may take to connect, and an old one to finish its calls, in seconds.
_CONNECT_S: Final = 5.0
_FINISH_S: Final = 5.0

_Options: TypeAlias = Sequence[tuple[str, Any]]


@dataclass(frozen=True, slots=True)
class Line:
    """A channel and what is called on it."""

    channel: grpc.aio.Channel
    scoring: "scoring_pb2_grpc.ScoringServiceAsyncStub"  # known to type checkers only
    health: health_pb2_grpc.HealthStub


class ScorerChannel:
    """The channel to one scorer.

    gRPC's own credentials are read once. So when the files change, a second channel is made with the new ones and takes
    over once it is connected; the calls under way end on the first. While the scorer does not take the new ones, the
    connection that there is stays.

    Args:
        target: `host:port` of the server.
        options: Of the channel.
        tls: The certificates; None: plain text.
    """

    def __init__(self, target: str, options: _Options, tls: TlsFiles | None = None) -> None:
        self._target = target
        self._options = options
        self._tls = tls
        self._credentials = tls.now() if tls else None
        self._line = self._opened(self._credentials)
        self._renewing: asyncio.Task[None] | None = None

    def line(self) -> Line:
        """Returns what to call on now; ask anew for each call."""
        if self._tls is not None and self._renewing is None:
            found = self._tls.now()
            if found is not self._credentials:
                self._renewing = asyncio.create_task(self._renew(found), name="scorer-channel")
        return self._line

    async def close(self) -> None:
        """Closes it."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
        await self._line.channel.close()

    async def _renew(self, credentials: Credentials) -> None:
        line, old = self._opened(credentials), self._line
        try:
            if await _connects(line.channel) or old.channel.get_state() is not grpc.ChannelConnectivity.READY:
                self._line, self._credentials = line, credentials
                line = old
                _LOG.info("bridge.scorer_channel_renewed", target=self._target)
            else:
                _LOG.error("bridge.scorer_channel_not_renewed", target=self._target)
        finally:
            self._renewing = None
            await line.channel.close(_FINISH_S)

    def _opened(self, credentials: Credentials | None) -> Line:
        channel = (
            grpc.aio.secure_channel(self._target, _of_channel(credentials), self._options)
            if credentials
            else grpc.aio.insecure_channel(self._target, self._options)
        )
        return Line(channel, scoring_pb2_grpc.ScoringServiceStub(channel), health_pb2_grpc.HealthStub(channel))


async def _connects(channel: grpc.aio.Channel) -> bool:
    try:
        await asyncio.wait_for(channel.channel_ready(), _CONNECT_S)
    except TimeoutError:
        return False
    return True


def _of_channel(credentials: Credentials) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(credentials.authority, credentials.key or None, credentials.certificate or None)
