"""How often each user and each peer may call; the same for gRPC and REST."""

import ipaddress
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from runtime.errors import ThrottledError
from runtime.limits.buckets import Buckets

# Buckets that are kept, of users and of peers each: some 4 MB when all are in use.
MAX_BUCKETS: Final = 20_000
# The contract's bound on ids. What is longer is refused for that, and must not fill memory before.
_MAX_ID_CHARS: Final = 128
# An attacker has all of an IPv6 network to call from.
_IPV6_PREFIX: Final = 64


@dataclass(frozen=True, slots=True)
class Rate:
    """How often one may call.

    Args:
        per_s: Calls a second in the long run; 0: as often as he likes.
        burst: Calls at once after a rest.
    """

    per_s: float
    burst: int

    def buckets(self) -> Buckets | None:
        """Returns what holds callers to it; None: nothing has to."""
        return Buckets(self.per_s, self.burst, MAX_BUCKETS) if self.per_s else None


UNLIMITED: Final = Rate(0.0, 1)


class Limits:
    """Lets users and peers call as often as they may.

    Args:
        user: How often each user.
        peer: How often each address.
        monotonic: The clock.
    """

    def __init__(self, user: Rate, peer: Rate, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._users = user.buckets()
        self._peers = peer.buckets()
        self._monotonic = monotonic

    def admit_user(self, user_id: str) -> None:
        """Raises ThrottledError when a user calls too often."""
        if self._users is not None and 0 < len(user_id) <= _MAX_ID_CHARS:
            wait_s = self._users.take(user_id, self._monotonic())
            if wait_s:
                raise ThrottledError("user", wait_s)

    def admit_peer(self, address: str) -> None:
        """Raises ThrottledError when an address, as `address_of` returns it, calls too often."""
        if self._peers is not None and address:
            wait_s = self._peers.take(address, self._monotonic())
            if wait_s:
                raise ThrottledError("peer", wait_s)


def address_of(peer: str) -> str:
    """Returns the address in what gRPC says of a peer; empty: it is on this machine, without an address."""
    kind, _, place = peer.partition(":")
    if kind == "ipv4":
        return place.rpartition(":")[0]
    return network_of(unquote(place.rpartition(":")[0]).strip("[]")) if kind == "ipv6" else ""


@lru_cache(maxsize=1024)
def network_of(host: str) -> str:
    """Returns what counts as one peer: an IPv4 address, or the network of an IPv6 one."""
    address = host.partition("%")[0]
    if ":" not in address:
        return address
    parsed = ipaddress.IPv6Address(address)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), _IPV6_PREFIX), strict=False))
