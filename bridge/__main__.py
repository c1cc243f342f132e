"""Starts the bridge."""

import sys

from bridge.app import build
from bridge.settings import BridgeSettings
from runtime.process import main

# Lists are ranked in a thread. With Python's 5 ms, each turn of it would cost a request that long.
SWITCH_INTERVAL_S = 0.0005

if __name__ == "__main__":
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    sys.exit(main("bridge", BridgeSettings, build))
