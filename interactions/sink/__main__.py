"""Runs the sink."""

import sys

from interactions.sink.app import build
from interactions.sink.settings import SinkSettings
from runtime.process import main

if __name__ == "__main__":
    sys.exit(main("sink", SinkSettings, build))
