"""Runs the ingest service."""

import sys

from interactions.app import build
from interactions.settings import InteractionsSettings
from runtime.process import main

if __name__ == "__main__":
    sys.exit(main("interactions", InteractionsSettings, build))
