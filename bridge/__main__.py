"""Starts the bridge."""

import sys

from bridge.app import build
from bridge.settings import BridgeSettings
from runtime.process import main

if __name__ == "__main__":
    sys.exit(main("bridge", BridgeSettings, build))
