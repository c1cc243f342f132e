"""TCP ports: one of one's own, or one that the workers of a process share."""

import errno
import fcntl
import os
import resource
import socket
from collections.abc import Collection
from pathlib import Path
from typing import Final

LISTEN_BACKLOG: Final = 2048

_OWN_DESCRIPTORS: Final = Path("/proc/self/fd")
# Above the descriptors of connections, and not so high that the table of descriptors takes megabytes.
_HIGH_DESCRIPTOR: Final = 65_000


def listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Opens a listening socket.

    Args:
        host: Address to listen on.
        port: 0 takes a free one.
        shared: Whether other sockets of this user may listen there too; the system spreads callers over all.

    Raises:
        OSError: When that is not possible; the text names the port.
    """
    listener = _socket(host)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
        listener.bind((host, port))
        # From now on a caller waits instead of being refused, although uvicorn takes over a little later.
        listener.listen(LISTEN_BACKLOG)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"HTTP cannot listen on {host}:{port}: {error.strerror}") from error
    return listener


def reserve(host: str, port: int, setting: str) -> socket.socket:
    """Takes a port for the workers of this process and keeps it from everybody else.

    The socket never listens, so no caller ends up in it. Whoever tries to take the port alone fails while it is open.

    Args:
        host: Address to listen on.
        port: 0 takes a free one.
        setting: What the operator may change, for the error.

    Raises:
        OSError: When another process holds the port, be it with SO_REUSEPORT; the text says what to do.
    """
    reserved = _socket(host)
    try:
        # Bound alone first, which fails beside any other holder; opened to sharing only then.
        reserved.bind((host, port))
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # While this was on, two of these could stand side by side until one of them listens.
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except OSError as error:
        reserved.close()
        raise OSError(error.errno, _refusal(error, host, port, setting)) from error
    return reserved


def keep_above(ports: Collection[int]) -> list[socket.socket]:
    """Duplicates the listening sockets of this process under descriptors above those of its connections.

    Linux ends the sockets of a killed process from the highest descriptor down. A caller whose connection breaks comes
    back at once, and between the two would be let in by a socket that is about to be reset, although another worker
    listens: 5 to 8 of 100 were, and with the duplicates none (measured with 60 processes of 31 connections).

    Args:
        ports: Whose listening sockets.

    Returns:
        The duplicates, to be closed before a listening socket is to end; none where the system does not list them.
    """
    high = min(_HIGH_DESCRIPTOR, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 2 * len(ports))
    return [
        socket.socket(fileno=fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, high))
        for descriptor in _sockets()
        if _listening_port(descriptor) in ports
    ]


def authority(host: str, port: int) -> str:
    """Returns `host:port` as gRPC and URLs want it: an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _sockets() -> list[int]:
    entries = _OWN_DESCRIPTORS.iterdir() if _OWN_DESCRIPTORS.is_dir() else ()
    return [int(entry.name) for entry in entries if entry.is_socket()]


def _listening_port(descriptor: int) -> int | None:
    with socket.socket(fileno=os.dup(descriptor)) as found:
        if found.family not in {socket.AF_INET, socket.AF_INET6}:
            return None
        accepts = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        return int(found.getsockname()[1]) if accepts else None


def _socket(host: str) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    # A port that was in use a moment ago still has connections that are ending.
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return made


def _refusal(error: OSError, host: str, port: int, setting: str) -> str:
    where = authority(host, port)
    if error.errno != errno.EADDRINUSE:
        return f"cannot listen on {where}: {error.strerror}"
    return (
        f"cannot listen on {where}: another process holds port {port}. "
        f"End it (`ss -ltnp 'sport = :{port}'` names it) or set {setting} to another port."
    )
