"""Starts the bridge."""

import sys

from bridge.settings import BridgeSettings
from runtime.workers import parent

# Lists are ranked in a thread. With Python's 5 ms, each turn of it would cost a request that long.
SWITCH_INTERVAL_S = 0.0005

MORE_HELP = "`feed bridge breaker` shows the breakers of the running bridge and holds them open or closed."


def serve() -> int:
    """Runs one bridge; only here is loaded what the parent of workers does without."""
    from bridge.app import build  # noqa: PLC0415
    from runtime.process import main  # noqa: PLC0415

    sys.setswitchinterval(SWITCH_INTERVAL_S)
    return main("bridge", BridgeSettings, build, more_help=MORE_HELP)


if __name__ == "__main__":
    sys.exit(parent.main("bridge", BridgeSettings, serve))
