"""A Datadog agent over DogStatsD; only who has one imports this (a quarter of a second)."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from datadog.dogstatsd.base import DogStatsd

from runtime.throttle import SparseWarnings

_LIBRARY_LOG: Final = logging.getLogger("datadog.dogstatsd")

# Packets that wait for a slow agent; beyond them the oldest is dropped.
_QUEUE_PACKETS: Final = 100

_STOP_TIMEOUT_S: Final = 1.0


class Agent:
    """A connection to a Datadog agent.

    Nothing here touches the network on the caller's time: counters are summed up, events put into a buffer, and
    threads of the library send both. An agent that is away costs a warning a minute.

    Args:
        address: `host:port`, or the path of a Unix socket.
        tags: Set on everything, such as `env:prod`.
    """

    def __init__(self, address: str, tags: list[str]) -> None:
        host, _, port = address.rpartition(":")
        on_path = address.startswith("/")
        self.client = DogStatsd(
            host=None if on_path else host,
            port=None if on_path else int(port),
            socket_path=address if on_path else None,
            constant_tags=tags,
            disable_telemetry=True,
            disable_aggregation=False,
            disable_buffering=False,
            disable_background_sender=False,
            sender_queue_size=_QUEUE_PACKETS,
        )
        self.client.constant_tags = _each_once(self.client.constant_tags)
        self._sparse = SparseWarnings()
        _LIBRARY_LOG.addFilter(self._sparse)

    def close(self) -> None:
        """Sends what is left; takes a second at most."""
        self.client.disable_aggregation()
        self.client.disable_buffering = True
        self.client.stop(_STOP_TIMEOUT_S)
        _LIBRARY_LOG.removeFilter(self._sparse)


class AgentTelemetry:
    """What tells an agent of something: the part that all such have in common.

    Args:
        address: `host:port`, or the path of a Unix socket.
        tags: Set on everything, such as `env:prod`.
    """

    def __init__(self, address: str, tags: list[str]) -> None:
        self._agent = Agent(address, tags)

    async def stop(self) -> None:
        """Sends what is left; takes a second at most."""
        await asyncio.to_thread(self._agent.close)


def _each_once(tags: Sequence[str]) -> list[str]:
    """Leaves out what the library adds of `DD_ENV`, `DD_SERVICE` and `DD_VERSION`: the settings have them already."""
    named: dict[str, str] = {}
    for tag in tags:
        named.setdefault(tag.partition(":")[0], tag)
    return list(named.values())
